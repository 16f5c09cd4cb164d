"""What gateway decides, without input or output."""
