"""The numbers that Hardt & Sun published; README.md beside says where each is from."""
