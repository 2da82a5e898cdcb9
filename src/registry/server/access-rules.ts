export const ACTIONS = ['pull', 'push', 'delete', 'list'] as const;
/** `list` is the catalog's; what of it somebody sees is what that one may pull. */
export type Action = (typeof ACTIONS)[number];

/** Who may do what where. Rules only allow: what none of them allows is refused. */
export interface AccessRule {
  /** Names with `*` for a part of a component and `**` for any number of components. */
  readonly repositories: readonly string[];
  /** Names; `@group`; `@users` for all that are logged in; `*` for everyone. */
  readonly users: readonly string[];
  readonly actions: readonly Action[];
}

export class AccessRules {
  readonly #rules: readonly { readonly rule: AccessRule; readonly repositories: readonly RegExp[] }[];
  readonly #groups: Readonly<Record<string, readonly string[]>>;

  constructor(rules: readonly AccessRule[], groups: Readonly<Record<string, readonly string[]>> = {}) {
    this.#rules = rules.map((rule) => ({ rule, repositories: rule.repositories.map(repositoryPattern) }));
    this.#groups = groups;
  }

  allow(subject: string | undefined, action: Action, repository: string): boolean {
    return this.#rules.some(
      ({ rule, repositories }) =>
        rule.actions.includes(action) &&
        rule.users.some((user) => this.#is(subject, user)) &&
        repositories.some((pattern) => pattern.test(repository)),
    );
  }

  /** Whether there is anything that the subject may do so. */
  allowSomewhere(subject: string | undefined, action: Action): boolean {
    return this.#rules.some(
      ({ rule }) => rule.actions.includes(action) && rule.users.some((user) => this.#is(subject, user)),
    );
  }

  #is(subject: string | undefined, user: string): boolean {
    if (user === '*') return true;
    if (subject === undefined) return false;
    if (user === '@users') return true;
    if (!user.startsWith('@')) return user === subject;
    const group = user.slice(1);
    return Object.hasOwn(this.#groups, group) && this.#groups[group]!.includes(subject);
  }
}

/** `team/*`, `team/**`, `**`. */
export function repositoryPattern(glob: string): RegExp {
  const source = glob
    .split(/(\*\*|\*)/)
    .map((part) => (part === '**' ? '.*' : part === '*' ? '[^/]*' : part.replace(/[\\^$.+?()[\]{}|]/g, '\\$&')))
    .join('');
  return new RegExp(`^${source}$`);
}
