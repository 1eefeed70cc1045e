"""Row and parameter models: what every file and every parameter block must look like."""
