import { basename, dirname, join, resolve } from 'node:path';
import { EngineError } from '../../base/errors.ts';
import { readComposeFiles } from './compose-files.ts';
import { checkConsistency } from './consistency.ts';
import { parseDotenv } from './dotenv.ts';
import { environmentOf } from './environment.ts';
import { ProjectInputs } from './inputs.ts';
import { interpolate, type Lookup, notSet, type Variable } from './interpolate.ts';
import { nameResources, toNormalForm } from './normal-form.ts';
import { Places } from './place.ts';
import { checkProjectName, nameOf } from './project-name.ts';
import { isRemoteFile, type RemoteFile } from './remote-file.ts';
import { composeFileIn } from './remote-paths.ts';
import { asDict, asList, asText, dict, type Dict } from './value.ts';
import { readYaml } from './yaml.ts';

export interface LoadOptions {
  /** `-f`; none: what the working directory or one above holds. */
  readonly files: readonly string[];
  readonly projectName?: string | undefined;
  readonly projectDirectory?: string | undefined;
  readonly envFiles: readonly string[];
  /** `--profile`; `*` is all. */
  readonly profiles: readonly string[];
  /** Services named on the command line are active whatever their profiles. */
  readonly services?: readonly string[];
  readonly cwd: string;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly stdin?: () => string;
  readonly interpolate?: boolean;
  readonly normalize?: boolean;
  readonly resolvePaths?: boolean;
  readonly resolveEnvironment?: boolean;
  /** False: env files stay what they are, and only variables without a value get theirs. */
  readonly readEnvFiles?: boolean;
  readonly checkConsistency?: boolean;
  readonly warn: (message: string) => void;
  /**
   * Gives the local path of what the address of a repository or an artifact means; throws a RemoteFileNeeded where it has
   * to be waited for.
   */
  readonly fetchRemote?: (address: string) => RemoteFile;
  /** By which files and the variables of `env` are looked at, for whoever wants to know what the model is made of. */
  readonly inputs?: ProjectInputs;
}

/** A loaded project: its model in normal form, with the active services only. */
export interface LoadedProject {
  readonly name: string;
  readonly directory: string;
  readonly files: readonly string[];
  readonly model: Dict;
  /** Left out by profiles. */
  readonly disabled: Dict;
  readonly profiles: readonly string[];
  readonly lookup: Lookup;
  readonly environment: ReadonlyMap<string, string>;
  /** Those of `environment` that `.env` or `--env-file`s give, also where the process has others of their names. */
  readonly fileVariables: ReadonlyMap<string, string>;
  readonly variables: ReadonlyMap<string, Variable>;
}

const NAMES = ['compose.yaml', 'compose.yml', 'docker-compose.yml', 'docker-compose.yaml'];

/** Reads a project's files. Throws `not-found` when there are none, `invalid-argument` with file, line and column. */
export function loadProject(given: LoadOptions): LoadedProject {
  const told = new Set<string>();
  const warn = (text: string): void => {
    if (!told.has(text)) given.warn(text);
    told.add(text);
  };
  const inputs = given.inputs ?? new ProjectInputs(given.env);
  const { fetchRemote, stdin: readStdin } = given;
  const options: Reading = {
    ...given,
    warn,
    inputs,
    ...(fetchRemote && { fetchRemote: (address) => (inputs.notRepeatable(), fetchRemote(address)) }),
    ...(readStdin && { stdin: () => (inputs.notRepeatable(), readStdin()) }),
  };
  const { files, remote, roots } = composeFiles(options);
  const first = files.find((file) => file !== '-');
  const directory = resolve(options.cwd, options.projectDirectory ?? (first === undefined ? '.' : dirname(first)));
  // The directory of what was fetched has neither a name that tells anything, nor anybody's `.env`.
  const base = remote ? resolve(options.cwd, options.projectDirectory ?? '.') : directory;
  const fileVariables = projectVariables(options, base);
  const environment = environmentOf(options.env, fileVariables);
  const lookup: Lookup = (name) => (inputs.variable(name), environment.get(name));
  const stdin = files.includes('-') ? options.stdin?.() : undefined;
  const name = projectName(options, files, stdin, base, lookup);
  environment.set('COMPOSE_PROJECT_NAME', name);
  const variables = new Map<string, Variable>();
  const { tree, places } = readComposeFiles({
    files,
    directory,
    lookup,
    home: lookup('HOME'),
    stdin,
    interpolate: options.interpolate !== false,
    resolvePaths: options.resolvePaths !== false,
    warn: options.warn,
    inputs,
    fetchRemote: options.fetchRemote,
    remoteRoots: roots,
    onVariable: (variable) => {
      if (!variables.has(variable.name)) variables.set(variable.name, variable);
    },
  });
  const profiles = activeProfiles(options, lookup, asDict(tree['services']));
  const active = activeServices(asDict(tree['services']), profiles);
  const disabled = dict();
  for (const [service, item] of Object.entries(asDict(tree['services'])))
    if (!active.has(service)) disabled[service] = item;
  if (options.interpolate !== false) {
    // Env files of services that are not started need not exist.
    for (const service of Object.keys(disabled)) delete asDict(tree['services'])[service];
    toNormalForm(tree, {
      projectName: name,
      lookup,
      inputs,
      resolveEnvironment: options.resolveEnvironment !== false,
      readEnvFiles: options.readEnvFiles !== false,
      normalize: options.normalize !== false,
      onMissing: (variable) => warn(notSet(variable)),
    });
    if (options.checkConsistency !== false) checkConsistency(tree, places, active);
  } else nameResources(tree, name, options.normalize !== false);
  return { name, directory, files, model: tree, disabled, profiles, lookup, environment, fileVariables, variables };
}

type Reading = LoadOptions & { readonly inputs: ProjectInputs };

/** Absolute paths; `remote`: the first one was fetched. */
function composeFiles(options: Reading): { files: string[]; remote: boolean; roots: string[] } {
  const start = resolve(options.cwd, options.projectDirectory ?? '.');
  const { inputs } = options;
  const ofFiles = options.files.length > 0 ? new Map<string, string>() : projectVariables(options, start);
  const lookup: Lookup = (name) => inputs.variable(name) ?? ofFiles.get(name);
  const given =
    options.files.length > 0
      ? options.files
      : (lookup('COMPOSE_FILE')
          ?.split(lookup('COMPOSE_PATH_SEPARATOR') || ':')
          .filter((file) => file !== '') ?? []);
  const isRemote = (file: string): boolean => isRemoteFile(file) && !inputs.exists(resolve(options.cwd, file));
  if (given.length > 0) {
    const roots: string[] = [];
    const files = given.map((file) => {
      if (isRemote(file)) {
        if (!options.fetchRemote)
          throw new EngineError(
            'unimplemented',
            `${file}: files from registries and repositories are not fetched here`,
          );
        const fetched = options.fetchRemote(file);
        roots.push(fetched.root);
        return composeFileIn(fetched.path);
      }
      return file === '-' ? file : resolve(options.cwd, file);
    });
    return { files, remote: isRemote(given[0]!), roots };
  }
  for (let at = start; ; at = dirname(at)) {
    const name = NAMES.find((item) => inputs.exists(join(at, item)));
    if (name !== undefined) {
      const found = [join(at, name)];
      const stem = name.startsWith('docker-') ? 'docker-compose.override' : 'compose.override';
      const over = [`${stem}.yml`, `${stem}.yaml`].find((item) => inputs.exists(join(at, item)));
      return { files: over === undefined ? found : [...found, join(at, over)], remote: false, roots: [] };
    }
    if (dirname(at) === at) throw new EngineError('not-found', 'no configuration file provided: not found');
  }
}

/** Of `.env`, or of `--env-file`s. */
function projectVariables(options: Reading, directory: string): Map<string, string> {
  const found = new Map<string, string>();
  const given =
    options.envFiles.length > 0
      ? options.envFiles
      : (options.inputs
          .variable('COMPOSE_ENV_FILES')
          ?.split(',')
          .filter((file) => file !== '') ?? []);
  const files = given.length > 0 ? given.map((file) => resolve(options.cwd, file)) : [join(directory, '.env')];
  for (const file of files) {
    let text: string;
    try {
      text = options.inputs.text(file);
    } catch (error) {
      if (given.length === 0) continue;
      throw new EngineError('not-found', `couldn't find env file: ${file}`, { cause: error });
    }
    for (const [name, value] of parseDotenv(text, file, (key) => options.inputs.variable(key), {
      earlier: found,
      onMissing: (variable) => options.warn(notSet(variable)),
    }))
      found.set(name, value);
  }
  return found;
}

function projectName(
  options: Reading,
  files: readonly string[],
  stdin: string | undefined,
  directory: string,
  lookup: Lookup,
): string {
  if (options.projectName) return checkProjectName(options.projectName);
  const fromEnv = lookup('COMPOSE_PROJECT_NAME');
  if (fromEnv) return checkProjectName(fromEnv);
  let written: string | undefined;
  for (const file of files) {
    let text: string;
    try {
      text = file === '-' ? (stdin ?? '') : options.inputs.text(file);
    } catch {
      continue; // said better when the file is really read
    }
    if (!/^(name|["']name["'])\s*:/m.test(text)) continue;
    for (const { tree } of readYaml(text, file, { places: new Places() })) written = asText(tree['name']) ?? written;
  }
  if (written !== undefined && written !== '') return nameOf(interpolate(written, { lookup }));
  return nameOf(basename(directory));
}

function activeProfiles(options: LoadOptions, lookup: Lookup, services: Dict): string[] {
  const given =
    options.profiles.length > 0
      ? options.profiles
      : (lookup('COMPOSE_PROFILES') ?? '')
          .split(',')
          .map((item) => item.trim())
          .filter((item) => item !== '');
  const named = (options.services ?? []).flatMap((name) => asList(asDict(services[name])['profiles']).map(String));
  return [...new Set([...given, ...named])];
}

function activeServices(services: Dict, profiles: readonly string[]): Set<string> {
  return new Set(
    Object.keys(services).filter((name) => {
      const wanted = asList(asDict(services[name])['profiles']).map(String);
      return wanted.length === 0 || profiles.includes('*') || wanted.some((profile) => profiles.includes(profile));
    }),
  );
}
