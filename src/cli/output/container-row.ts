import type { ContainerSummary, PortSummary } from '../../api/container.ts';
import { quote } from '../flag.ts';
import { labelFields } from './labels.ts';
import type { Row, RowFormat } from './rows.ts';
import { goTime, humanSize, timeAgo } from './units.ts';
import { ellipsis } from './width.ts';
import { compareText } from './order.ts';

export const CONTAINER_FORMAT: RowFormat = {
  columns: ['ID', 'Image', 'Command', 'RunningFor', 'Status', 'Ports', 'Names'],
  headers: {
    ID: 'CONTAINER ID',
    RunningFor: 'CREATED',
    CreatedAt: 'CREATED AT',
    LocalVolumes: 'LOCAL VOLUMES',
  },
  typeName: '*formatter.ContainerContext',
  quiet: 'ID',
};

/** Stands for any container where a template is tried. */
export const EMPTY_CONTAINER: ContainerSummary = {
  Id: '',
  Names: [],
  Image: '',
  ImageID: '',
  Command: '',
  Created: 0,
  Ports: [],
  Labels: {},
  State: 'created',
  Status: '',
  HostConfig: {},
  NetworkSettings: { Networks: {} },
  Mounts: [],
};

/** A line of `ps`. */
export function containerRow(container: ContainerSummary, options: { truncate: boolean; now?: number }): Row {
  const { truncate } = options;
  const names = container.Names.map((name) => name.replace(/^\//, ''));
  return {
    ID: truncate ? container.Id.slice(0, 12) : container.Id,
    Image: imageName(container, truncate),
    Command: quote(truncate ? ellipsis(container.Command, 20) : container.Command),
    CreatedAt: goTime(container.Created * 1000),
    RunningFor: timeAgo(container.Created, options.now),
    Status: container.Status,
    State: container.State,
    Ports: portsText(container.Ports ?? []),
    Names: (truncate ? names.filter((name) => !name.includes('/')) : names).join(','),
    Size: sizeText(container),
    ...labelFields(container.Labels),
    Mounts: (container.Mounts ?? [])
      .map((mount) => (truncate ? ellipsis(mount.Name || mount.Source, 15) : mount.Name || mount.Source))
      .join(','),
    LocalVolumes: String((container.Mounts ?? []).filter((mount) => mount.Driver === 'local').length),
    Networks: Object.keys(container.NetworkSettings?.Networks ?? {})
      .sort()
      .join(','),
    Platform: platformText(container),
  };
}

function imageName(container: ContainerSummary, truncate: boolean): string {
  if (container.Image === '') return '<no image>';
  if (!truncate) return container.Image;
  const id = container.ImageID.replace(/^sha256:/, '');
  if (container.Image.replace(/^sha256:/, '') === id) return id.slice(0, 12);
  return container.Image.replace(/^([^@]+)@sha256:[a-f0-9]{64}$/, '$1');
}

function platformText(container: ContainerSummary): string {
  const platform = container.ImageManifestDescriptor?.platform;
  return platform ? `${platform.os}/${platform.architecture}` : '';
}

function sizeText(container: ContainerSummary): string {
  const rw = humanSize(container.SizeRw ?? 0, 3);
  const root = container.SizeRootFs ?? 0;
  return root > 0 ? `${rw} (virtual ${humanSize(root, 3)})` : rw;
}

/** `0.0.0.0:80->80/tcp, [::]:80->80/tcp, 9000-9002/tcp`: neighbouring ports as a range. */
export function portsText(ports: readonly PortSummary[]): string {
  interface Range {
    from: number;
    to: number;
  }
  const open = new Map<string, Range>();
  const text: string[] = [];
  const published: string[] = [];
  const sorted = ports.toSorted(
    (a, b) =>
      a.PrivatePort - b.PrivatePort ||
      compareText(a.IP ?? '', b.IP ?? '') ||
      (a.PublicPort ?? 0) - (b.PublicPort ?? 0) ||
      compareText(a.Type, b.Type),
  );
  const flush = (key: string, range: Range): void => {
    const cut = key.indexOf('/');
    const ip = key.slice(0, cut);
    const type = key.slice(cut + 1);
    const span = range.from === range.to ? String(range.from) : `${range.from}-${range.to}`;
    text.push(ip === '' ? `${span}/${type}` : `${address(ip)}:${span}->${span}/${type}`);
  };
  for (const port of sorted) {
    const key = `${port.IP ?? ''}/${port.Type}`;
    if (port.IP && port.PublicPort !== port.PrivatePort) {
      published.push(`${address(port.IP)}:${port.PublicPort}->${port.PrivatePort}/${port.Type}`);
      continue;
    }
    const range = open.get(key);
    if (range && port.PrivatePort === range.to + 1) {
      range.to = port.PrivatePort;
      continue;
    }
    if (range && port.PrivatePort === range.to) continue;
    if (range) flush(key, range);
    open.set(key, { from: port.PrivatePort, to: port.PrivatePort });
  }
  for (const [key, range] of open) flush(key, range);
  return [...text, ...published].join(', ');
}

function address(ip: string): string {
  return ip.includes(':') ? `[${ip}]` : ip;
}
