"""Here so that the tests in the folders below find the models beside this file."""
