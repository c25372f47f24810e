"""What several commands share: their options, how what was typed becomes a request, and where answers are printed."""
