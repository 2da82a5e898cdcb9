/** Something from elsewhere that is kept so that the next build need not fetch it again. */
export interface KeptSource {
  readonly id: string;
  readonly kind: 'git' | 'http';
  /** Its address, without passwords. */
  readonly name: string;
  /** Bytes. */
  readonly size: number;
  /** Milliseconds since the epoch. */
  readonly usedAt: number;
}
