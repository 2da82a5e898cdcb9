import type { JSX } from 'preact';
import { useState } from 'preact/hooks';
import { Problem, Table } from './parts.tsx';

interface Repository {
  readonly name: string;
  readonly tags: readonly string[];
}

/** Repositories and tags of a registry, asked for by the command behind this page with the logins it has. */
export function Registry(): JSX.Element {
  const [host, setHost] = useState(localStorage.getItem('registry') ?? '127.0.0.1:5000');
  const [found, setFound] = useState<readonly Repository[]>();
  const [error, setError] = useState('');
  const [busy, setBusy] = useState(false);
  const ask = async (event: Event): Promise<void> => {
    event.preventDefault();
    setBusy(true);
    setError('');
    try {
      const response = await fetch(`/registry/${encodeURIComponent(host)}`);
      if (!response.ok) throw new Error(((await response.json()) as { message: string }).message);
      setFound((await response.json()) as Repository[]);
      localStorage.setItem('registry', host);
    } catch (failure) {
      setFound(undefined);
      setError((failure as Error).message);
    } finally {
      setBusy(false);
    }
  };
  return (
    <>
      <h1>Registry</h1>
      <form class="bar" onSubmit={(event) => void ask(event)}>
        <input
          aria-label="Address of the registry"
          value={host}
          onInput={(event) => setHost(event.currentTarget.value)}
        />
        <button class="primary" type="submit" disabled={busy}>
          Show
        </button>
        <span class="soft">an address like 127.0.0.1:5000, with the login of `gantry login`</span>
      </form>
      <Problem text={error} />
      {found && (
        <Table head={['Repository', 'Tags']}>
          {found.map(({ name, tags }) => (
            <tr key={name}>
              <td class="mono">{name}</td>
              <td>
                {tags.map((tag) => (
                  <>
                    <span class="tag soft">{tag}</span>{' '}
                  </>
                ))}
              </td>
            </tr>
          ))}
        </Table>
      )}
    </>
  );
}
