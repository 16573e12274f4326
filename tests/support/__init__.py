"""What the tests share: a prepared environment, real servers, a real browser, and waiting."""
