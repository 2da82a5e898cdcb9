/**
 * Scopes: further doors to the engine, each with less behind it. `POST /gantry/scopes`, body `ScopeCreateRequest`, answer
 * `ScopeCreated`; `GET` lists `Scope`, `DELETE …/{name}` ends one.
 */
export const SCOPES_PATH = '/gantry/scopes';

/** On every container, network and volume that was made through a scope: its name. No image and no scope's client sets it. */
export const SCOPE_LABEL = 'gantry.scope';

export interface ScopeCreateRequest {
  Name: string;
  /** Only looks: documents, logs, figures and events, no content of files, nothing that changes or enters. */
  ReadOnly?: boolean;
  /**
   * `com.docker.compose.project=shop`: only what has this label is there, and what is made gets it. Undefined: of one that
   * only looks, everything; of others, what they made themselves.
   */
  Label?: string;
  /** Names of images as patterns (`nginx`, `ghcr.io/team/*:v*`); undefined or none: any. */
  Images?: string[];
  /** Give out a token, for where no socket reaches. */
  Token?: boolean;
  /** One of the name that says the same is no conflict; no token is given out then. */
  Ensure?: boolean;
}

export interface Scope {
  readonly Name: string;
  readonly CreatedAt: string;
  readonly ReadOnly: boolean;
  /** Empty: everything. */
  readonly Label: string;
  /** Empty: any. */
  readonly Images: readonly string[];
  readonly HasToken: boolean;
  /** Full path of the directory with `api.sock` in it; the socket is made again with each start of the engine, the directory stays. */
  readonly Directory: string;
}

export interface ScopeCreated extends Scope {
  /** Told this one time. */
  readonly Token?: string;
}
