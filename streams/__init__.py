"""Window, scan, decision: from completed uploads to approved, rejected and held."""
