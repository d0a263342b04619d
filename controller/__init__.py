"""What runs on a load host: drives real ACA-Py holders through a script and measures every step."""
