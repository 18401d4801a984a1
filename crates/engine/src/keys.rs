//! API keys: making, checking, limiting and revoking them. A key is shown once; only its hash is kept.

use hone_domain::{Limits, ProjectId, ScopeSet};
use hone_storage::keys::{self, ApiKey};
use hone_storage::projects;

use crate::{Engine, EngineError};

/// A key with the secret that is shown once.
#[derive(Debug, Clone)]
pub struct NewKey {
    /// The key without its secret.
    pub key: ApiKey,
    /// What a client sends as bearer token.
    pub secret: String,
}

impl Engine {
    /// Makes a key. The secret has 256 random bits, so a plain hash of it is safe to keep.
    pub async fn create_key(
        &self,
        project: ProjectId,
        name: &str,
        scopes: ScopeSet,
        expires_at_us: Option<i64>,
    ) -> Result<NewKey, EngineError> {
        if name.trim().is_empty() || name.len() > 100 {
            return Err(EngineError::field("/name", "give a name of 1 to 100 characters"));
        }
        if scopes.iter().next().is_none() {
            return Err(EngineError::field("/scopes", "is empty; give one scope or more"));
        }
        let mut random = [0u8; 32];
        self.ids.fill(&mut random);
        let secret = format!("hone_{}", blake3::Hash::from_bytes(random).to_hex());
        let created_at_us = self.ids.now_us();
        let (id, name, project_id) = (self.ids.next(), name.to_owned(), project.0);
        let key = ApiKey {
            id,
            project_id,
            name,
            scopes,
            expires_at_us,
            revoked_at_us: None,
            created_at_us,
            limits: None,
        };
        let mut conn = self.db.begin().await?;
        keys::insert(&mut conn, &key, &hash_of(&secret)).await?;
        conn.commit().await?;
        Ok(NewKey { key, secret })
    }

    /// The key with this secret, if it works now.
    pub async fn find_working_key(&self, secret: &str) -> Result<Option<ApiKey>, EngineError> {
        let mut conn = self.db.read().await?;
        let found = keys::find_by_hash(&mut conn, &hash_of(secret)).await?;
        let now_us = self.ids.now_us();
        Ok(found.filter(|key| {
            key.revoked_at_us.is_none() && key.expires_at_us.is_none_or(|until| until > now_us)
        }))
    }

    /// Revokes a key; every server refuses it within seconds.
    pub async fn revoke_key(&self, project: ProjectId, id: uuid::Uuid) -> Result<(), EngineError> {
        let mut conn = self.db.begin().await?;
        if !keys::revoke(&mut conn, project, id, self.ids.now_us()).await? {
            return Err(EngineError::NotFound {
                noun: "working key",
                id: id.to_string(),
            });
        }
        conn.commit().await?;
        Ok(())
    }
}

impl Engine {
    /// Replaces what a key may use; every server knows it within seconds.
    pub async fn set_key_limits(
        &self,
        project: ProjectId,
        id: uuid::Uuid,
        limits: Limits,
    ) -> Result<(), EngineError> {
        limits.validate("")?;
        let mut conn = self.db.begin().await?;
        let limits = (!limits.is_unlimited()).then_some(&limits);
        if !keys::set_limits(&mut conn, project, id, limits).await? {
            return Err(EngineError::NotFound {
                noun: "key",
                id: id.to_string(),
            });
        }
        conn.commit().await?;
        Ok(())
    }

    /// Replaces what a project may use; every server knows it within seconds.
    pub async fn set_project_limits(&self, project: ProjectId, limits: Limits) -> Result<(), EngineError> {
        limits.validate("")?;
        let mut conn = self.db.begin().await?;
        let limits = (!limits.is_unlimited()).then_some(&limits);
        projects::set_limits(&mut conn, project, limits).await?;
        conn.commit().await?;
        Ok(())
    }
}

fn hash_of(secret: &str) -> Vec<u8> {
    blake3::hash(secret.as_bytes()).as_bytes().to_vec()
}
