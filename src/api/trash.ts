/**
 * The trash: what was removed, for some time. `GET /gantry/trash` answers with `TrashDocument`; `POST /gantry/trash/restore`,
 * body `TrashRestoreRequest`, answers with `TrashRestoreReport`; `DELETE /gantry/trash?id=…` (several; none is all) deletes for
 * good and answers with `TrashEmptyReport`.
 */
import type { FactAuthor } from './why.ts';

export const TRASH_PATH = '/gantry/trash';

/** A request with this header and the value `off` puts nothing into the trash: what it removes is gone. */
export const TRASH_HEADER = 'gantry-trash';

export type TrashKind = 'container' | 'image' | 'volume' | 'network';

/** What one command took away. */
export interface TrashOperation {
  readonly Id: string;
  /** RFC 3339, of its last removal. */
  readonly Removed: string;
  /** When it goes by itself; sooner when room is needed. */
  readonly Expires: string;
  readonly By: FactAuthor;
  readonly Items: readonly TrashItem[];
}

export interface TrashItem {
  readonly Kind: TrashKind;
  readonly Id: string;
  /** Of an image all of its names, the first one here. */
  readonly Name: string;
  /** Bytes that deleting it would free, about. */
  readonly Size: number;
}

export interface TrashDocument {
  /** Nothing is put into it by this engine. */
  readonly Off: boolean;
  /** Newest first. */
  readonly Operations: readonly TrashOperation[];
  readonly Size: number;
  /** Bytes that it may have. */
  readonly Limit: number;
}

export interface TrashRestoreRequest {
  /** Operations, by id or the beginning of one, or names of what was removed; none is the last operation. */
  Ids?: string[];
}

export interface TrashRestoreReport {
  readonly Restored: readonly { readonly Kind: TrashKind; readonly Id: string; readonly Name: string }[];
  /** What could not be brought back, and is in the trash still. */
  readonly Problems: readonly { readonly Kind: TrashKind; readonly Name: string; readonly Problem: string }[];
}

export interface TrashEmptyReport {
  readonly Deleted: number;
  readonly SpaceReclaimed: number;
}
