/**
 * Endpoints that Docker does not have, below `/gantry` (behind the version: `/v1.51/gantry/…`). Both answer with JSON
 * lines: progress as in a pull, one `aux` with the result, or one `error` at the end.
 */
import type { ProgressMessage } from './progress.ts';

/** `POST /gantry/images/bootstrap`, body `BootstrapRequestDocument`, answer lines of `BootstrapMessage`. */
export const BOOTSTRAP_PATH = '/gantry/images/bootstrap';
/** `POST /gantry/images/fsck?repair=1`, answer lines of `FsckMessage`. */
export const FSCK_PATH = '/gantry/images/fsck';

/** The body of a bootstrap: what `BootstrapRequest` of the engine is, on the wire. */
export interface BootstrapRequestDocument {
  /** `debian:bookworm-slim`, `debian:trixie`, `ubuntu:noble`. */
  readonly Base: string;
  readonly Include?: readonly string[];
  readonly Suite?: string;
  readonly Mirror?: string;
  readonly Tags?: readonly string[];
}

export interface BootstrapMessage extends ProgressMessage {
  /** Once, at the end of a success. */
  readonly aux?: { readonly ID: string; readonly Tags?: readonly string[] };
}

export interface FsckReportDocument {
  readonly Blobs: number;
  readonly Bytes: number;
  readonly Problems: readonly {
    readonly Kind: string;
    readonly What: string;
    readonly Detail: string;
    readonly Repaired: boolean;
  }[];
}

export interface FsckMessage extends ProgressMessage {
  /** Once, at the end. */
  readonly aux?: FsckReportDocument;
}
