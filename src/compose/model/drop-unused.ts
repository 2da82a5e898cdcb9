import { asDict, asList, asText, byText, type Dict, isDict, sortedKeys, textOf } from './value.ts';

/** Leaves out networks, volumes, secrets and configs that no service uses. Changes the model. */
export function dropUnused(model: Dict): void {
  const services = Object.values(asDict(model['services'])).map(asDict);
  const used: Record<string, Set<string>> = {
    networks: new Set(services.flatMap((service) => sortedKeys(asDict(service['networks'])))),
    volumes: new Set(
      services.flatMap((service) =>
        asList(service['volumes'])
          .map(asDict)
          .filter((mount) => mount['type'] === 'volume')
          .map((mount) => asText(mount['source']) ?? ''),
      ),
    ),
    secrets: new Set(
      services.flatMap((service) =>
        [...asList(service['secrets']), ...asList(asDict(service['build'])['secrets'])].map((item) =>
          textOf(asDict(item)['source']),
        ),
      ),
    ),
    configs: new Set(
      services.flatMap((service) => asList(service['configs']).map((item) => textOf(asDict(item)['source']))),
    ),
  };
  for (const [kind, names] of Object.entries(used)) {
    const all = model[kind];
    if (!isDict(all)) continue;
    for (const name of Object.keys(all).sort(byText)) if (!names.has(name)) delete all[name];
    if (Object.keys(all).length === 0) delete model[kind];
  }
}
