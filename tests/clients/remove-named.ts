import { request } from 'node:http';

/**
 * Removes every container, network and volume of an engine whose name has `part`, and with `images` those too. By the
 * API: four commands after each case would take longer than most cases.
 */
export async function removeNamed(host: string, part: string, { images = false } = {}): Promise<void> {
  const socketPath = host.replace(/^unix:\/\//, '');
  const filters = encodeURIComponent(JSON.stringify({ name: [part] }));
  const list = async <T>(path: string): Promise<T> => JSON.parse(await ask(socketPath, 'GET', path)) as T;
  const remove = (path: string): Promise<unknown> => ask(socketPath, 'DELETE', path);
  for (const { Id } of await list<{ Id: string }[]>(`/containers/json?all=1&filters=${filters}`))
    await remove(`/containers/${Id}?force=1&v=1`);
  for (const { Id } of await list<{ Id: string }[]>(`/networks?filters=${filters}`)) await remove(`/networks/${Id}`);
  const { Volumes } = await list<{ Volumes: { Name: string }[] | null }>(`/volumes?filters=${filters}`);
  for (const { Name } of Volumes ?? []) await remove(`/volumes/${Name}?force=1`);
  if (!images) return;
  for (const { RepoTags } of await list<{ RepoTags: string[] | null }[]>('/images/json'))
    for (const tag of RepoTags ?? []) if (tag.includes(part)) await remove(`/images/${tag}?force=1`);
}

function ask(socketPath: string, method: string, path: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const sent = request({ socketPath, method, path }, (response) => {
      let text = '';
      response.setEncoding('utf8').on('data', (chunk: string) => (text += chunk));
      response.once('end', () => resolve(text)).once('error', reject);
    });
    sent.once('error', reject);
    sent.end();
  });
}
