/** Schema changes in order; the database's `user_version` counts those applied. Never edit one that has been released: add the next. */
export const MIGRATIONS: readonly string[] = [
  `
  CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID;

  -- documents with a unique name: containers, networks, volumes
  CREATE TABLE containers (id TEXT PRIMARY KEY, name TEXT NOT NULL UNIQUE, doc TEXT NOT NULL) STRICT, WITHOUT ROWID;
  CREATE TABLE networks   (id TEXT PRIMARY KEY, name TEXT NOT NULL UNIQUE, doc TEXT NOT NULL) STRICT, WITHOUT ROWID;
  CREATE TABLE volumes    (id TEXT PRIMARY KEY, name TEXT NOT NULL UNIQUE, doc TEXT NOT NULL) STRICT, WITHOUT ROWID;

  -- images by config digest: "config" is the document byte for byte, "manifest" the descriptor of the manifest it came with
  CREATE TABLE images (
    id TEXT PRIMARY KEY, config TEXT NOT NULL, chain TEXT, size INTEGER NOT NULL, parent TEXT, manifest TEXT,
    added TEXT NOT NULL, tagged TEXT NOT NULL
  ) STRICT, WITHOUT ROWID;
  CREATE INDEX images_parent ON images(parent);
  -- canonical references: docker.io/library/nginx:1.23, and digests: docker.io/library/nginx@sha256:…;
  -- "target" is the descriptor of what the registry calls by that name, a manifest or an index
  CREATE TABLE image_references (
    reference TEXT PRIMARY KEY, repository TEXT NOT NULL, image TEXT NOT NULL REFERENCES images(id), target TEXT
  ) STRICT, WITHOUT ROWID;
  CREATE INDEX image_references_image ON image_references(image);

  -- a layer's tar by diff id: the blob that holds it (compressed or not); where "stored" is 0 it is made again from the snapshot
  CREATE TABLE layers (
    diff_id TEXT PRIMARY KEY, blob TEXT NOT NULL, media_type TEXT NOT NULL, blob_size INTEGER NOT NULL, stored INTEGER NOT NULL,
    size INTEGER NOT NULL
  ) STRICT, WITHOUT ROWID;

  CREATE TABLE snapshots (
    name TEXT PRIMARY KEY, kind TEXT NOT NULL, parent TEXT REFERENCES snapshots(name), dir TEXT NOT NULL UNIQUE,
    created INTEGER NOT NULL, diff_id TEXT, size INTEGER
  ) STRICT, WITHOUT ROWID;
  CREATE INDEX snapshots_parent ON snapshots(parent);

  -- build cache: key → result
  CREATE TABLE build_records (
    key TEXT PRIMARY KEY, chain TEXT, created INTEGER NOT NULL, used INTEGER NOT NULL, uses INTEGER NOT NULL, doc TEXT NOT NULL
  ) STRICT, WITHOUT ROWID;
  `,
  `
  CREATE INDEX image_references_repository ON image_references(repository);
  -- the registry that the engine serves: what came to it, beside what the images are. Repositories are canonical
  CREATE TABLE registry_manifests (
    repository TEXT NOT NULL, digest TEXT NOT NULL, subject TEXT, keep_until INTEGER NOT NULL, document TEXT NOT NULL,
    PRIMARY KEY (repository, digest)
  ) STRICT, WITHOUT ROWID;
  CREATE INDEX registry_manifests_subject ON registry_manifests(repository, subject);
  CREATE TABLE registry_children (
    repository TEXT NOT NULL, manifest TEXT NOT NULL, child TEXT NOT NULL, PRIMARY KEY (repository, manifest, child)
  ) STRICT, WITHOUT ROWID;
  CREATE INDEX registry_children_child ON registry_children(repository, child);
  CREATE TABLE registry_tags (
    repository TEXT NOT NULL, tag TEXT NOT NULL, digest TEXT NOT NULL, PRIMARY KEY (repository, tag)
  ) STRICT, WITHOUT ROWID;
  CREATE TABLE registry_blobs (
    repository TEXT NOT NULL, digest TEXT NOT NULL, linked_at INTEGER NOT NULL, PRIMARY KEY (repository, digest)
  ) STRICT, WITHOUT ROWID;
  `,
  `
  -- what a name points to where that is more than one image: by the digest of an index, or of a manifest in a form of its own
  CREATE TABLE image_targets (digest TEXT PRIMARY KEY, doc TEXT NOT NULL) STRICT, WITHOUT ROWID;
  `,
  // values are sealed: the key is not in here
  `CREATE TABLE secrets (id TEXT PRIMARY KEY, name TEXT NOT NULL UNIQUE, doc TEXT NOT NULL) STRICT, WITHOUT ROWID;`,
  `
  -- signatures that were verified when an image was pulled, by the digest they speak of: a later run checks them again
  CREATE TABLE image_signatures (
    digest TEXT NOT NULL, signature TEXT NOT NULL, payload BLOB NOT NULL, PRIMARY KEY (digest, signature)
  ) STRICT, WITHOUT ROWID;
  `,
  // milliseconds since the epoch
  `CREATE TABLE image_uses (image TEXT PRIMARY KEY, used INTEGER NOT NULL) STRICT, WITHOUT ROWID;`,
  // registries over the engine's images that are opened at each start
  `CREATE TABLE registry_listeners (id TEXT PRIMARY KEY, name TEXT NOT NULL UNIQUE, doc TEXT NOT NULL) STRICT, WITHOUT ROWID;`,
  // what is remembered of containers that were removed: the last of them, and only what tells why
  `CREATE TABLE departed_containers (
    seq INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL, name TEXT NOT NULL, doc TEXT NOT NULL
  ) STRICT;`,
  // what was removed, and can be brought back; "removed" is milliseconds since the epoch
  `CREATE TABLE trash (
    seq INTEGER PRIMARY KEY AUTOINCREMENT, operation TEXT NOT NULL, kind TEXT NOT NULL, name TEXT NOT NULL, id TEXT NOT NULL,
    removed INTEGER NOT NULL, size INTEGER, doc TEXT NOT NULL
  ) STRICT;`,
  // doors to the engine with less behind them: what each allows
  `CREATE TABLE scopes (id TEXT PRIMARY KEY, name TEXT NOT NULL UNIQUE, doc TEXT NOT NULL) STRICT, WITHOUT ROWID;`,
  // who keeps a layer is asked after each build
  `CREATE INDEX build_records_chain ON build_records(chain); CREATE INDEX images_chain ON images(chain);`,
];
