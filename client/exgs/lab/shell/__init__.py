"""What runs the laboratory: processes, files, and real sockets. Only this part knows clocks."""
