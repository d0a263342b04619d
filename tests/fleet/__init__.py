"""Real hosts with systemd and sshd on one Linux machine, to try Stampede's playbooks on."""
