import type { JSX } from 'preact';
import { useState } from 'preact/hooks';
import type { VolumeFilesDocument } from '../../api/gantry.ts';
import { call, get } from './api.ts';
import { age, size } from './format.ts';
import { useLoaded } from './live.ts';
import { Action, Problem, Search, Table } from './parts.tsx';

interface Volume {
  readonly Name: string;
  readonly Driver: string;
  readonly CreatedAt: string;
  readonly UsageData?: { readonly Size: number; readonly RefCount: number };
}

export function Volumes(): JSX.Element {
  const { value, error } = useLoaded(
    () => get<{ Volumes: Volume[] | null }>('/system/df?type=volume'),
    ['volume', 'container'],
  );
  const [text, setText] = useState('');
  const [failure, fail] = useState('');
  const found = (value?.Volumes ?? []).filter(({ Name }) => Name.includes(text.trim()));
  return (
    <>
      <h1>Volumes</h1>
      <Problem text={failure || error} />
      <div class="bar">
        <Search value={text} set={setText} label="Name" />
      </div>
      <Table head={['Name', 'Created', ['Size', 'number'], ['Containers', 'number'], '']}>
        {found.map((volume) => (
          <tr key={volume.Name}>
            <td>
              <a href={`#/volumes/${volume.Name}`}>{volume.Name}</a>
            </td>
            <td>{age(Date.parse(volume.CreatedAt) / 1000)} ago</td>
            <td class="number">{size(volume.UsageData?.Size ?? 0)}</td>
            <td class="number">{volume.UsageData?.RefCount ?? ''}</td>
            <td>
              <div class="buttons">
                <Action
                  label="Remove"
                  kind="bad"
                  confirm={`Remove the volume ${volume.Name} with its data?`}
                  run={() => call('DELETE', `/volumes/${volume.Name}`)}
                  fail={fail}
                />
              </div>
            </td>
          </tr>
        ))}
      </Table>
    </>
  );
}

export function VolumePage({ name, path }: { name: string; path: string }): JSX.Element {
  const base = `/gantry/volumes/${name}`;
  const query = `path=${encodeURIComponent(path)}`;
  const { value, error } = useLoaded(
    () => get<VolumeFilesDocument>(`${base}/files?${query}`),
    ['volume'],
    [name, path],
  );
  const parts = path.split('/').filter((part) => part !== '');
  const to = (steps: readonly string[]): string =>
    `#/volumes/${name}${steps.length > 0 ? `/${steps.map(encodeURIComponent).join('/')}` : ''}`;
  return (
    <>
      <h1>
        <a href="#/volumes">Volumes</a> / <a href={to([])}>{name}</a>
        {parts.map((part, at) => (
          <>
            {' / '}
            <a href={to(parts.slice(0, at + 1))}>{part}</a>
          </>
        ))}
      </h1>
      <Problem text={error} />
      <Table head={['Name', 'Kind', ['Size', 'number'], 'Mode', 'Owner', 'Changed', '']}>
        {(value?.Files ?? []).map((file) => (
          <tr key={file.Name}>
            <td class="mono">
              {file.Kind === 'directory' ? <a href={to([...parts, file.Name])}>{file.Name}/</a> : file.Name}
              {file.Target !== undefined && <span class="soft"> → {file.Target}</span>}
            </td>
            <td>{file.Kind}</td>
            <td class="number">{file.Kind === 'file' ? size(file.Size) : ''}</td>
            <td class="mono">{file.Mode.toString(8).padStart(4, '0')}</td>
            <td class="mono">
              {file.Uid}:{file.Gid}
            </td>
            <td>{age(Date.parse(file.Modified) / 1000)} ago</td>
            <td>
              {file.Kind === 'file' && (
                <a
                  href={`/api${base}/file?path=${encodeURIComponent([...parts, file.Name].join('/'))}`}
                  download={file.Name}
                >
                  Save
                </a>
              )}
            </td>
          </tr>
        ))}
      </Table>
      {value?.Truncated && <p class="soft">There are more; only the first thousand are shown.</p>}
    </>
  );
}
