"""What the two Faust workers share: how a consumer behaves across rebalances, and an app's options."""
