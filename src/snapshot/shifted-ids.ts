/** The ids of a container with a user namespace, as the host sees them: its own from 0 on are those from `base` on. */
export interface ShiftedIds {
  readonly uid: { readonly base: number; readonly size: number };
  readonly gid: { readonly base: number; readonly size: number };
}

/** An id of the container's as the host has it. One that it has not stays as it is, which is nobody's there. */
export function shifted(id: number, { base, size }: ShiftedIds['uid']): number {
  return id < size ? base + id : id;
}

/** The other way round. */
export function unshifted(id: number, { base, size }: ShiftedIds['uid']): number {
  return id >= base && id < base + size ? id - base : id;
}
