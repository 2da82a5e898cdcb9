import type { ImageManifestSummary, ImageSummary } from '../../api/image.ts';
import { layOut } from './table.ts';
import { humanSize } from './units.ts';

/** `images --tree`: the names of each image, and below them the platforms of an index. `U` is what a container uses. */
export function imageTree(images: readonly ImageSummary[]): string {
  const rows: string[][] = [['IMAGE', 'ID', 'DISK USAGE', 'CONTENT SIZE', 'EXTRA']];
  for (const image of images) {
    const platforms = (image.Manifests ?? []).filter(({ Kind }) => Kind === 'image');
    const names = image.RepoTags.length > 0 ? image.RepoTags : ['<untagged>'];
    for (const name of names.slice(0, -1)) rows.push([name, '', '', '', '']);
    const content = (image.Manifests ?? []).reduce((sum, { Size }) => sum + Size.Content, 0);
    const usage = platforms.length > 0 ? platforms.reduce((sum, { Size }) => sum + Size.Total, 0) : image.Size;
    const id = image.Descriptor?.digest ?? image.Id;
    rows.push([
      names.at(-1)!,
      shortDigest(id),
      humanSize(usage, 3),
      humanSize(content, 3),
      image.Containers > 0 ? 'U' : '',
    ]);
    for (const [index, manifest] of platforms.entries())
      rows.push(platformRow(manifest, index === platforms.length - 1 ? '└─' : '├─'));
  }
  return layOut(rows).replaceAll(/ +$/gm, '');
}

function platformRow({ ID, Size, ImageData, Available }: ImageManifestSummary, branch: string): string[] {
  const { os = '', architecture = '', variant } = ImageData?.Platform ?? {};
  const platform = [os, architecture, variant].filter((part) => part !== undefined && part !== '').join('/');
  const used = (ImageData?.Containers.length ?? 0) > 0;
  return [
    `${branch} ${platform}`,
    shortDigest(ID),
    Available ? humanSize(Size.Total, 3) : '0B',
    Available ? humanSize(Size.Content, 3) : '0B',
    used ? 'U' : '',
  ];
}

function shortDigest(digest: string): string {
  return digest.replace(/^sha256:/, '').slice(0, 12);
}
