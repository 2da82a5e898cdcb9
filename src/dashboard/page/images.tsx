import type { JSX } from 'preact';
import { useState } from 'preact/hooks';
import { call, get } from './api.ts';
import { age, shortId, size } from './format.ts';
import { useLoaded } from './live.ts';
import { Action, Problem, Search, Table } from './parts.tsx';

interface ImageSummary {
  readonly Id: string;
  readonly RepoTags: readonly string[] | null;
  readonly Created: number;
  readonly Size: number;
  readonly SharedSize: number;
  readonly Containers: number;
}

interface ImageInspect {
  readonly Id: string;
  readonly RepoTags: readonly string[];
  readonly RepoDigests: readonly string[];
  readonly Created: string;
  readonly Architecture: string;
  readonly Os: string;
  readonly Size: number;
  readonly Config: {
    readonly Cmd: readonly string[] | null;
    readonly Entrypoint: readonly string[] | null;
    readonly User: string;
    readonly ExposedPorts?: Record<string, unknown>;
    readonly Labels: Record<string, string> | null;
  };
  readonly RootFS: { readonly Layers: readonly string[] };
}

interface HistoryItem {
  readonly Created: number;
  readonly CreatedBy: string;
  readonly Size: number;
}

export function Images(): JSX.Element {
  const { value, error } = useLoaded(() => get<ImageSummary[]>('/images/json?shared-size=1'), ['image', 'builder']);
  const [text, setText] = useState('');
  const [failure, fail] = useState('');
  const found = (value ?? []).filter(({ Id, RepoTags }) => `${Id} ${RepoTags?.join(' ') ?? ''}`.includes(text.trim()));
  const largest = Math.max(...found.map(({ Size }) => Size), 1);
  return (
    <>
      <h1>Images</h1>
      <Problem text={failure || error} />
      <div class="bar">
        <Search value={text} set={setText} label="Name or id" />
        <Action
          label="Remove what has no name and no container"
          confirm="Remove all images that have no name and that no container uses?"
          run={() => call('POST', '/images/prune')}
          fail={fail}
        />
      </div>
      <Table head={['Name', 'Id', 'Created', ['Size', 'number'], 'Own and shared', '']}>
        {found.map((image) => (
          <tr key={image.Id}>
            <td>
              {(image.RepoTags ?? []).length > 0 ? (
                image.RepoTags!.map((tag) => <div>{tag}</div>)
              ) : (
                <span class="soft">no name</span>
              )}
            </td>
            <td class="mono">
              <a href={`#/images/${image.Id}`}>{shortId(image.Id)}</a>
            </td>
            <td>{age(image.Created)} ago</td>
            <td class="number">{size(image.Size)}</td>
            <td>
              <div
                class="share"
                title={
                  image.SharedSize >= 0
                    ? `${size(image.Size - image.SharedSize)} of its own, ${size(image.SharedSize)} shared`
                    : ''
                }
              >
                <i
                  style={{
                    width: `${((image.Size - Math.max(0, image.SharedSize)) / largest) * 100}%`,
                    background: 'var(--accent)',
                  }}
                />
                <i
                  style={{ width: `${(Math.max(0, image.SharedSize) / largest) * 100}%`, background: 'var(--good)' }}
                />
              </div>
            </td>
            <td>
              <div class="buttons">
                <Action
                  label="Remove"
                  kind="bad"
                  confirm={`Remove ${image.RepoTags?.join(', ') || shortId(image.Id)}?`}
                  run={async () => {
                    for (const name of image.RepoTags?.length ? image.RepoTags : [image.Id])
                      await call('DELETE', `/images/${encodeURI(name)}`);
                  }}
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

/** One image: its layers with their sizes, and for each which other images have it too. */
export function ImagePage({ id }: { id: string }): JSX.Element {
  const { value, error } = useLoaded(
    async () => {
      const [image, history, all] = await Promise.all([
        get<ImageInspect>(`/images/${id}/json`),
        get<HistoryItem[]>(`/images/${id}/history`),
        get<ImageSummary[]>('/images/json'),
      ]);
      const others = await Promise.all(
        all
          .filter(({ Id }) => Id !== image.Id)
          .slice(0, 200)
          .map(({ Id }) => get<ImageInspect>(`/images/${Id}/json`)),
      );
      return { image, history: history.toReversed(), others };
    },
    ['image'],
    [id],
  );
  if (!value) return <Problem text={error} />;
  const { image, history, others } = value;
  // which step made which layer is not told: it is known when every layer has a size
  const aligned = history.filter(({ Size }) => Size > 0).length === image.RootFS.Layers.length;
  let layer = 0;
  const largest = Math.max(...history.map(({ Size }) => Size), 1);
  return (
    <>
      <h1>
        <a href="#/images">Images</a> / {image.RepoTags[0] ?? shortId(image.Id)}
      </h1>
      <dl>
        <dt>Id</dt>
        <dd class="mono">{image.Id}</dd>
        <dt>Digests</dt>
        <dd class="mono">{image.RepoDigests.join(' ') || 'not from a registry'}</dd>
        <dt>Platform</dt>
        <dd>
          {image.Os}/{image.Architecture}
        </dd>
        <dt>Runs</dt>
        <dd class="mono">{[...(image.Config.Entrypoint ?? []), ...(image.Config.Cmd ?? [])].join(' ')}</dd>
        <dt>As</dt>
        <dd>{image.Config.User || 'root'}</dd>
        <dt>Size</dt>
        <dd>{size(image.Size)}</dd>
      </dl>
      <h2>Layers</h2>
      <Table head={['Step', ['Size', 'number'], '', 'Also in']}>
        {history.map((step) => {
          const digest = aligned && step.Size > 0 ? image.RootFS.Layers[layer++] : undefined;
          const shared = digest === undefined ? [] : others.filter(({ RootFS }) => RootFS.Layers.includes(digest));
          return (
            <tr>
              <td class="mono">{step.CreatedBy.replace(/^\/bin\/sh -c #\(nop\) +/, '')}</td>
              <td class="number">{size(step.Size)}</td>
              <td style={{ minWidth: '120px' }}>
                <div class="meter">
                  <i style={{ width: `${(step.Size / largest) * 100}%` }} />
                </div>
              </td>
              <td>
                {shared.slice(0, 5).map((other) => (
                  <div>
                    <a href={`#/images/${other.Id}`}>{other.RepoTags[0] ?? shortId(other.Id)}</a>
                  </div>
                ))}
                {shared.length > 5 && <span class="soft">and {shared.length - 5} more</span>}
              </td>
            </tr>
          );
        })}
      </Table>
    </>
  );
}
