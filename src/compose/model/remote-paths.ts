import fs from 'node:fs';
import { resolve, sep } from 'node:path';
import { isRemote, type PathBase, toAbsolute } from './paths.ts';
import { errorAt, type Place, type Places } from './place.ts';
import { asDict, asList, asText, asTexts, type Dict, textOf } from './value.ts';

/**
 * What a file that was fetched from elsewhere names is read and put into containers and images: it must be of the same
 * repository or artifact, or of the directory that its paths are relative to (the project's, when one is given). Binds
 * are not looked at: they are what they are in every project. Throws `invalid-argument`.
 */
export function checkRemotePaths(tree: Dict, root: string, base: PathBase, places: Places): void {
  const check = (path: string | undefined, what: string, place: Place | undefined): void => {
    if (path !== undefined && !isRemote(path)) checkInside(toAbsolute(path, base), [root, base.directory], what, place);
  };
  for (const [name, item] of Object.entries(asDict(tree['services']))) {
    const service = asDict(item);
    const place = (key: string): Place | undefined =>
      places.get(service, key) ?? places.get(asDict(tree['services']), name);
    for (const file of asList(service['env_file']))
      check(asText(asDict(file)['path']) ?? asText(file), `services.${name}.env_file`, place('env_file'));
    for (const file of asTexts(service['label_file'])) check(file, `services.${name}.label_file`, place('label_file'));
    for (const rule of asList(asDict(service['develop'])['watch']))
      check(asText(asDict(rule)['path']), `services.${name}.develop.watch`, place('develop'));
    const build = asDict(service['build']);
    const context = asText(build['context']);
    check(context, `services.${name}.build.context`, place('build'));
    if (context === undefined || !isRemote(context))
      check(
        build['dockerfile'] === undefined
          ? undefined
          : resolve(toAbsolute(context ?? '.', base), textOf(build['dockerfile'])),
        `services.${name}.build.dockerfile`,
        place('build'),
      );
    for (const [key, other] of Object.entries(asDict(build['additional_contexts'])))
      check(asText(other), `services.${name}.build.additional_contexts.${key}`, place('build'));
  }
  for (const kind of ['secrets', 'configs'])
    for (const [name, item] of Object.entries(asDict(tree[kind])))
      check(asText(asDict(item)['file']), `${kind}.${name}.file`, places.get(asDict(tree[kind]), name));
}

/** By what it is called, and by where its links lead. */
export function checkInside(path: string, roots: readonly string[], what: string, place: Place | undefined): void {
  const inside = (one: string, of: string): boolean => one === of || one.startsWith(of.endsWith(sep) ? of : of + sep);
  const real = (one: string): string => (fs.existsSync(one) ? fs.realpathSync(one) : one);
  const isIn = (root: string): boolean =>
    inside(resolve(path), root) && (!fs.existsSync(path) || inside(real(path), real(root)));
  if (!roots.some(isIn))
    throw errorAt(
      place,
      `${what}: ${path} is outside of the remote project ${roots[0]}; give it in a file of your own, by a further -f`,
    );
}

const NAMES = ['compose.yaml', 'compose.yml', 'docker-compose.yml', 'docker-compose.yaml'];

/** The Compose file in a directory, or the file itself; undefined names are left for the reader to complain of. */
export function composeFileIn(path: string): string {
  if (fs.statSync(path, { throwIfNoEntry: false })?.isDirectory() !== true) return path;
  return resolve(path, NAMES.find((name) => fs.existsSync(resolve(path, name))) ?? NAMES[0]!);
}
