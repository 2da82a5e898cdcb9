import type { ByteString } from '../base/byte-string.ts';
import type { FileStat } from '../linux/files.ts';
import { inUserNamespace } from '../linux/user-namespace-ids.ts';
import { getXattr } from '../linux/xattr.ts';

/**
 * How changes are written in a layer's tar (image-spec layer.md#whiteouts), how overlayfs keeps them in a directory
 * (Documentation/filesystems/overlayfs.rst of the kernel), and which extended attributes pass between the two.
 */
export const WHITEOUT_PREFIX = '.wh.';
/** As an entry of a directory: nothing of the lower layers' directory is seen. */
export const OPAQUE_MARK = '.wh..wh..opq';
/** Other names of aufs, without a meaning in an image. */
export const AUFS_PREFIX = '.wh..wh.';

/** In a user namespace overlayfs keeps its marks where a user may write (`userxattr`). */
export const OPAQUE_XATTR = inUserNamespace() ? 'user.overlay.opaque' : 'trusted.overlay.opaque';
export const OPAQUE_VALUE: Uint8Array = Buffer.from('y');

export function isWhiteout(stat: FileStat): boolean {
  return stat.kind === 'character-device' && stat.deviceMajor === 0 && stat.deviceMinor === 0;
}

/** Whether the open directory hides the one below it. */
export function isOpaque(directory: number): boolean {
  return getXattr(directory, OPAQUE_XATTR)?.toString('latin1') === 'y';
}

/**
 * Attributes that belong to a file's content, in a layer and out of it. The overlay's own stay out in every case: from an
 * archive they could redirect the directory to any other. Labels of the host's security modules stay on the host.
 */
export function isPortableXattr(name: ByteString): boolean {
  return name === 'security.capability' || (name.startsWith('user.') && !name.startsWith('user.overlay.'));
}
