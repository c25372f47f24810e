"""The machine that a run happens on: processor, device, compiler and signals. Nothing here touches privacy."""
