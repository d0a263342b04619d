"""What both machines ask of their operating system: files, processes, ports."""
