import { createHash } from 'node:crypto';
import type { ScopeCreateRequest } from '../../api/scope.ts';

const PROJECT_LABEL = 'com.docker.compose.project';

/** The label that a project's containers have. */
export function projectLabel(name: string): string {
  return `${PROJECT_LABEL}=${name}`;
}

/**
 * What `--api-socket` says: the name of a scope that there is, or what one is to allow (`ro`, `project=NAME`,
 * `label=KEY=VALUE`, `image=PATTERN`, with commas between), which then has a name made of that.
 */
export function parseApiSocket(text: string): { readonly name: string } | { readonly request: ScopeCreateRequest } {
  const words = text.split(',').map((word) => word.trim());
  if (words.length === 1 && words[0] !== 'ro' && !words[0]!.includes('=')) {
    if (words[0] === '')
      throw new Error('--api-socket needs the name of a scope, or what it is to allow: ro,project=NAME');
    return { name: words[0]! };
  }
  const request: ScopeCreateRequest = { Name: '', Images: [], Ensure: true };
  for (const word of words) {
    const cut = word.indexOf('=');
    const [key, value] = cut < 0 ? [word, ''] : [word.slice(0, cut), word.slice(cut + 1)];
    if (word === 'ro') request.ReadOnly = true;
    else if (key === 'project' && value !== '') request.Label = once(request.Label, projectLabel(value));
    else if (key === 'label' && value.includes('=')) request.Label = once(request.Label, value);
    else if (key === 'image' && value !== '') request.Images!.push(value);
    else throw new Error(`--api-socket: "${word}" is none of ro, project=NAME, label=KEY=VALUE, image=PATTERN`);
  }
  const said = JSON.stringify([request.ReadOnly ?? false, request.Label ?? '', request.Images]);
  request.Name = `run-${createHash('sha256').update(said).digest('hex').slice(0, 12)}`;
  return { request };
}

function once(before: string | undefined, label: string): string {
  if (before !== undefined) throw new Error('--api-socket: a scope has one project or label');
  return label;
}
