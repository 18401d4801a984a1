//! The pages a person sees: server-rendered, embedded assets.
