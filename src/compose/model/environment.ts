/** What is set for a project, without its own name: the variables of the process go before those of its files. */
export function environmentOf(
  env: Readonly<Record<string, string | undefined>>,
  fileVariables: ReadonlyMap<string, string>,
): Map<string, string> {
  const all = new Map(fileVariables);
  for (const [name, value] of Object.entries(env)) if (value !== undefined) all.set(name, value);
  return all;
}
