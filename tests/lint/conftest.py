"""Here so that the tests in the folders below find the runs beside this file."""
