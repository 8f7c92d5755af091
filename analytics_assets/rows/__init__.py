"""What `api` hands to `warehouse`: an account's rows as Arrow."""
