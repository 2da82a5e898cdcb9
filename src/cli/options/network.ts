import { isIP } from 'node:net';
import type { EndpointSettings } from '../../api/network.ts';
import { cutPair, parseCsv } from './csv.ts';

/** One `--network`: a name, or `name=…,alias=…,ip=…`. */
export interface NetworkAttachment {
  target: string;
  aliases: string[];
  ipv4?: string;
  ipv6?: string;
  linkLocal: string[];
  links: string[];
  macAddress?: string;
  driverOpts: Record<string, string>;
  gwPriority: number;
}

/** Throws an Error in docker's words. */
export function parseNetwork(text: string): NetworkAttachment {
  const network: NetworkAttachment = {
    target: '',
    aliases: [],
    linkLocal: [],
    links: [],
    driverOpts: {},
    gwPriority: 0,
  };
  if (!/^\w+=.*$/s.test(text)) {
    network.target = text;
    return network;
  }
  for (const field of parseCsv(text)) {
    const pair = cutPair(field.toLowerCase());
    if (!pair) throw new Error(`invalid field ${field}`);
    const key = pair[0].trim();
    const value = pair[1].trim();
    switch (key) {
      case 'name':
        network.target = value;
        break;
      case 'alias':
        network.aliases.push(value);
        break;
      case 'driver-opt': {
        const option = cutPair(value);
        if (!option) throw new Error('invalid key value pair format in driver options');
        network.driverOpts[option[0].trim()] = option[1].trim();
        break;
      }
      case 'ip':
        network.ipv4 = checkIp(value);
        break;
      case 'ip6':
        network.ipv6 = checkIp(value);
        break;
      case 'mac-address':
        network.macAddress = checkMac(value);
        break;
      case 'link-local-ip':
        network.linkLocal.push(checkIp(value));
        break;
      case 'gw-priority':
        if (!/^[+-]?\d+$/.test(value)) throw new Error(`invalid gw-priority (${value}): invalid syntax`);
        network.gwPriority = Number(value);
        break;
      default:
        throw new Error(`invalid field key ${key}`);
    }
  }
  if (network.target === '') throw new Error('network name/id is not specified');
  return network;
}

/** What the API calls it. */
export function endpointSettings(network: NetworkAttachment): EndpointSettings {
  const ipam = {
    ...(network.ipv4 === undefined ? {} : { IPv4Address: network.ipv4 }),
    ...(network.ipv6 === undefined ? {} : { IPv6Address: network.ipv6 }),
    ...(network.linkLocal.length === 0 ? {} : { LinkLocalIPs: network.linkLocal }),
  };
  return {
    ...(Object.keys(ipam).length === 0 ? {} : { IPAMConfig: ipam }),
    ...(network.links.length === 0 ? {} : { Links: network.links }),
    ...(network.aliases.length === 0 ? {} : { Aliases: network.aliases }),
    ...(network.macAddress === undefined ? {} : { MacAddress: network.macAddress }),
    ...(Object.keys(network.driverOpts).length === 0 ? {} : { DriverOpts: network.driverOpts }),
    ...(network.gwPriority === 0 ? {} : { GwPriority: network.gwPriority }),
  };
}

/** Predefined modes that have no endpoint to configure. */
export function isUserDefined(mode: string): boolean {
  return !['', 'default', 'bridge', 'host', 'none'].includes(mode) && !mode.startsWith('container:');
}

export function checkIp(text: string): string {
  if (isIP(text) === 0) throw new Error(`IP address is not correctly formatted: ${text}`);
  return text;
}

export function checkMac(text: string): string {
  if (!/^([0-9a-fA-F]{2}([:-])[0-9a-fA-F]{2}(\2[0-9a-fA-F]{2}){4}|([0-9a-fA-F]{4}\.){2}[0-9a-fA-F]{4})$/.test(text)) {
    throw new Error(`${text} is not a valid mac address`);
  }
  return text;
}

/** `--link name[:alias]`, and the id or name before the colon may not be empty. */
export function checkLink(text: string): string {
  const parts = text.split(':');
  if (text === '') throw new Error('empty string specified for links');
  if (parts.length > 2) throw new Error(`bad format for links: ${text}`);
  return text;
}
