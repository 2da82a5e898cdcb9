import type { Client } from '../../client/client.ts';
import { bool } from '../flag.ts';

/** Of every command that removes something. */
export const TRASH_FLAG = {
  'no-trash': bool('Remove for good: gantry undo cannot bring it back'),
} as const;

/** The client that heeds the flag. */
export async function clientOf(open: () => Promise<Client>, flags: { readonly 'no-trash': boolean }): Promise<Client> {
  const client = await open();
  return flags['no-trash'] ? client.withoutTrash() : client;
}
