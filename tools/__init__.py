"""What writes files of this repository; nothing here runs in a process of Tollgate."""
