//! Targets and rejections. Texts, ids and masks are compared with Transformers in tests/conversations.rs.
