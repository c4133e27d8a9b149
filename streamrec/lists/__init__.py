"""What goes out: Redis keys, packed lists, the function library, stores of visitors and lists."""
