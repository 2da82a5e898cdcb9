/**
 * `/secrets`: Docker's documents, without a swarm. The value goes in (`Data`, base64) and never comes out.
 *
 * What Docker has not: `POST /gantry/secrets/{name}/rotate`, `POST /gantry/secrets/ensure`, `POST /gantry/secrets/rotate-key`
 * and `POST /gantry/secrets/scan`; `HostConfig.Secrets` of a container, `Secrets` of an exec.
 */
export interface SecretSpec {
  Name: string;
  Labels?: Record<string, string>;
  /** Base64, of 1 to 512,000 bytes. */
  Data?: string;
  Driver?: { Name?: string; Options?: Record<string, string> } | null;
  Templating?: { Name?: string; Options?: Record<string, string> } | null;
}

export interface Secret {
  ID: string;
  /** Counts the values and the labels it has had. */
  Version: { Index: number };
  CreatedAt: string;
  UpdatedAt: string;
  Spec: { Name: string; Labels: Record<string, string> };
  /** Where its value was seen and should not be; absent when nowhere. */
  Leaks?: SecretLeak[];
}

export interface SecretLeak {
  At: string;
  /** `log of container web`, `image sha256:…: /etc/app.conf` */
  Where: string;
}

/** A secret as a file of a container: Docker's reference of a service, in `HostConfig.Secrets`. */
export interface SecretReference {
  SecretID?: string;
  /** By name, or instead by `SecretID`. */
  SecretName?: string;
  File?: {
    /** Absolute, or below /run/secrets; the secret's name when absent. */
    Name?: string;
    /** Numbers; 0 when absent. */
    UID?: string;
    GID?: string;
    /** Permission bits; 0444 when absent. */
    Mode?: number;
  };
}

/** A secret of one exec: a descriptor of that process alone, whose path is in the variable `Env`. */
export interface ExecSecret {
  SecretName: string;
  /** `DB_PASSWORD_FILE` of the secret `db_password`, when absent. */
  Env?: string;
  UID?: string;
  GID?: string;
  Mode?: number;
}

export interface SecretRotateRequest {
  Data: string;
  /** Replace it in running containers too, at once; otherwise each has the new value from its next start. */
  Reload?: boolean;
  /** Sent to the first process of every container in which it was replaced. */
  Signal?: string;
}

export interface SecretRotation {
  ID: string;
  Version: { Index: number };
  /** Ids of running containers that have the new value now. */
  Reloaded: string[];
  /** Ids of running containers that still have the old one. */
  Stale: string[];
}

export interface SecretEnsured {
  ID: string;
  /** Whether it was made, or its value replaced. */
  Changed: boolean;
}

export interface SecretScanRequest {
  /** A container's log is searched for the values of its secrets. */
  Container?: string;
  /** An image's layers and configuration are searched for the values of all secrets. */
  Image?: string;
}

export interface SecretScanReport {
  Leaks: { Secret: string; Where: string }[];
  /** Bytes searched. */
  Bytes: number;
  /** Secrets that are too short to be searched for: under 8 bytes they would be found by chance. */
  TooShort: string[];
}
