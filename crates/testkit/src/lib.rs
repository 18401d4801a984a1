//! Databases of both kinds, a clock to move, builders, the whole app in a test.
