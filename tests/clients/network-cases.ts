/** `docker network`, and what networks do to containers. Subnets are the cases' own: nobody else uses them. */
export const NETWORK_CASES: readonly (readonly [name: string, script: string])[] = [
  // -- create
  ['network create prints an id', 'docker network create $N; rc'],
  ['network create twice', 'docker network create $N >/dev/null; docker network create $N; rc'],
  ['network create without a name', 'docker network create; rc'],
  ['network create of a predefined name', 'docker network create host; rc; docker network create bridge; rc'],
  ['network create with a bad name', 'docker network create "bad name"; rc'],
  ['network create with an unknown driver', 'docker network create -d nosuchdriver $N; rc'],
  ['network create with a second host network', 'docker network create -d host $N; rc'],
  ['network create with a bad subnet', 'docker network create --subnet nonsense $N; rc'],
  ['network create with a subnet of host bits', 'docker network create --subnet 10.213.1.7/24 $N; rc'],
  ['network create with a gateway outside', 'docker network create --subnet 10.213.2.0/24 --gateway 10.213.3.1 $N; rc'],
  [
    'network create with a range outside',
    'docker network create --subnet 10.213.4.0/24 --ip-range 10.213.5.0/28 $N; rc',
  ],
  ['network create with a gateway alone', 'docker network create --gateway 10.213.6.1 $N; rc'],
  [
    'network create that overlaps',
    'docker network create --subnet 10.213.7.0/24 $N-a >/dev/null; docker network create --subnet 10.213.7.128/25 $N-b; rc',
  ],
  [
    'network create with subnet, gateway, range and auxiliary address',
    'docker network create --subnet 10.213.8.0/24 --gateway 10.213.8.9 --ip-range 10.213.8.128/25 --aux-address printer=10.213.8.130 $N >/dev/null; rc; docker network inspect -f "{{json .IPAM}}" $N; docker run --rm --network $N busybox sh -c "ip -4 -o addr show eth0 | awk \'{print \\$4}\'; ip route | head -1"',
  ],
  [
    'network create with labels and options',
    'docker network create --label a=1 --label b --opt com.docker.network.driver.mtu=1400 $N >/dev/null; docker network inspect -f "{{json .Labels}} {{json .Options}}" $N; docker run --rm --network $N busybox cat /sys/class/net/eth0/mtu',
  ],
  [
    'network create --internal',
    'docker network create --internal $N >/dev/null; docker network inspect -f "{{.Internal}}" $N; docker run --rm --network $N busybox ip route | grep -c default; rc',
  ],
  [
    'network create --attachable',
    'docker network create --attachable $N >/dev/null; docker network inspect -f "{{.Attachable}} {{.Ingress}} {{.Scope}} {{.Driver}} {{.ConfigOnly}}" $N',
  ],
  [
    'network create --ipv6 with a subnet',
    'docker network create --ipv6 --subnet fd00:213:9::/64 $N >/dev/null; rc; docker network inspect -f "{{.EnableIPv6}} {{.EnableIPv4}}" $N; docker run --rm --network $N busybox ip -6 -o addr show dev eth0 scope global | awk "{print \\$4}"',
  ],
  ['network create --ipv4=false', 'docker network create --ipv4=false $N; rc'],
  ['network create with a bad MTU', 'docker network create --opt com.docker.network.driver.mtu=abc $N; rc'],
  [
    'network create with a bad switch',
    'docker network create --opt com.docker.network.bridge.enable_icc=perhaps $N; rc',
  ],
  // -- ls, inspect
  [
    'network ls by name and label',
    'docker network create --label case=$N $N-a >/dev/null; docker network create $N-b >/dev/null; docker network ls --filter name=$N --format "{{.Name}} {{.Driver}}" | sort; docker network ls --filter label=case=$N --format "{{.Name}}"; docker network ls -q --filter name=$N | wc -l',
  ],
  ['network ls by type', 'docker network ls --filter type=builtin --format "{{.Name}}" | sort; rc'],
  ['network ls with an unknown filter', 'docker network ls --filter nonsense=1; rc'],
  [
    'network ls with a wrong value',
    'docker network ls --filter type=custom --filter name=none --filter dangling=x; rc; docker network ls --filter name=none --filter type=x; rc',
  ],
  [
    'network ls dangling',
    'docker network create $N >/dev/null; docker network ls --filter dangling=true --filter name=$N --format "{{.Name}}"; docker run -d --name $N-c --network $N busybox sleep 60 >/dev/null; docker network ls --filter dangling=true --filter name=$N --format "{{.Name}}"; rc',
  ],
  ['network inspect missing', 'docker network inspect $N-none; rc'],
  [
    'network inspect containers',
    'docker network create --subnet 10.213.10.0/24 $N >/dev/null; docker run -d --name $N-c --network $N busybox sleep 60 >/dev/null; docker network inspect -f "{{range .Containers}}{{.Name}} {{.IPv4Address}} {{.IPv6Address}}|{{end}}" $N',
  ],
  [
    'network inspect of the default networks',
    'docker network inspect -f "{{.Name}} {{.Driver}} {{.Scope}} {{json .IPAM.Config}}" none host; rc',
  ],
  // -- rm, prune
  ['network rm prints the name', 'docker network create $N >/dev/null; docker network rm $N; rc'],
  ['network rm missing', 'docker network rm $N-none; rc; docker network rm -f $N-none; rc'],
  ['network rm of a predefined network', 'docker network rm bridge; rc'],
  [
    'network rm in use',
    'docker network create $N >/dev/null; docker run -d --name $N-c --network $N busybox sleep 60 >/dev/null; docker network rm $N 2>&1 | sed "s/id:\\"[^\\"]*\\"/id/"; docker rm -f $N-c >/dev/null; docker network rm $N; rc',
  ],
  [
    'network prune by label',
    'docker network create --label case=$N $N-a >/dev/null; docker network prune -f --filter label=case=$N; rc; docker network ls -q --filter name=$N | wc -l',
  ],
  // -- run on a network
  [
    'run --ip',
    'docker network create --subnet 10.213.11.0/24 $N >/dev/null; docker run --rm --network $N --ip 10.213.11.77 busybox ip -4 -o addr show eth0 | awk "{print \\$4}"; rc',
  ],
  ['run --ip on the default network', 'docker run --rm --ip 172.17.0.200 busybox true; rc'],
  [
    'run --ip without a configured subnet',
    'docker network create $N >/dev/null; docker run --rm --network $N --ip 10.213.12.5 busybox true; rc',
  ],
  [
    'run --ip outside the subnet',
    'docker network create --subnet 10.213.13.0/24 $N >/dev/null; docker run --rm --network $N --ip 10.213.14.5 busybox true; rc',
  ],
  [
    'run --ip in use',
    'docker network create --subnet 10.213.15.0/24 $N >/dev/null; docker run -d --name $N-c --network $N --ip 10.213.15.5 busybox sleep 60 >/dev/null; docker run --name $N-d --network $N --ip 10.213.15.5 busybox true; rc',
  ],
  [
    'run --mac-address',
    'docker network create $N >/dev/null; docker run --rm --network $N --mac-address 02:42:ac:11:77:77 busybox cat /sys/class/net/eth0/address | tr -d ":"; rc; docker run --rm --mac-address nonsense busybox true; rc',
  ],
  [
    'run --network-alias',
    'docker network create --subnet 10.213.16.0/24 $N >/dev/null; docker run -d --name $N-c --network $N --network-alias store --ip 10.213.16.9 busybox sleep 60 >/dev/null; docker run --rm --network $N busybox nslookup -type=a store 127.0.0.11 | grep -A1 "^Name"; docker run --rm --network $N busybox ping -c 1 -q store | head -1',
  ],
  ['run --network-alias on the default network', 'docker run --rm --network-alias x busybox true; rc'],
  [
    'run on several networks',
    'docker network create $N-a >/dev/null; docker network create $N-b >/dev/null; docker run --rm --network $N-a --network $N-b busybox ls /sys/class/net; rc',
  ],
  [
    'run --network container:',
    'docker run -d --name $N-c busybox sleep 60 >/dev/null; docker run --rm --network container:$N-c busybox hostname >$T/a; docker exec $N-c hostname >$T/b; cmp $T/a $T/b; rc',
  ],
  ['run --network container: of a missing one', 'docker run --rm --network container:$N-none busybox true; rc'],
  ['run --network container: with ports', 'docker run --rm --network container:$N -p 80:80 busybox true; rc'],
  ['run --network host with ports', 'docker run --rm --network host -p 18881:80 busybox true; rc'],
  [
    'run resolv.conf on a network',
    'docker network create $N >/dev/null; docker run --rm --network $N busybox grep -E "^(nameserver|options)" /etc/resolv.conf; rc',
  ],
  [
    'run --link',
    'docker run -d --name $N-db -e SECRET=1 busybox sleep 60 >/dev/null; docker run --rm --link $N-db:db busybox sh -c "grep -cw db /etc/hosts; env | grep -E DB_ENV_SECRET"; rc',
  ],
  // -- connect, disconnect
  [
    'network connect',
    'docker network create --subnet 10.213.17.0/24 $N >/dev/null; docker run -d --name $N-c busybox sleep 60 >/dev/null; docker network connect --ip 10.213.17.8 --alias twin $N $N-c; rc; docker exec $N-c ip -4 -o addr show eth1 | awk "{print \\$4}"; docker inspect -f "{{range \\$k, \\$v := .NetworkSettings.Networks}}{{\\$k}} {{\\$v.Aliases}} {{end}}" $N-c',
  ],
  [
    'network connect twice',
    'docker network create $N >/dev/null; docker run -d --name $N-c --network $N busybox sleep 60 >/dev/null; docker network connect $N $N-c; rc',
  ],
  [
    'network connect missing',
    'docker network connect $N-none $N-c; rc; docker network create $N >/dev/null; docker network connect $N $N-c; rc',
  ],
  [
    'network connect to host',
    'docker run -d --name $N busybox sleep 60 >/dev/null; docker network connect host $N; rc',
  ],
  [
    'network connect of a container without',
    'docker network create $N >/dev/null; docker run -d --name $N-c --network none busybox sleep 60 >/dev/null; docker network connect $N $N-c; rc',
  ],
  [
    'network connect of one on the host',
    'docker network create $N >/dev/null; docker run -d --name $N-c --network host busybox sleep 60 >/dev/null; docker network connect $N $N-c; rc',
  ],
  [
    'network disconnect',
    'docker network create $N >/dev/null; docker run -d --name $N-c --network $N busybox sleep 60 >/dev/null; docker network disconnect $N $N-c; rc; docker exec $N-c ls /sys/class/net; docker inspect -f "{{json .NetworkSettings.Networks}}" $N-c',
  ],
  [
    'network disconnect of a stranger',
    'docker network create $N >/dev/null; docker run -d --name $N-c busybox sleep 60 >/dev/null; docker network disconnect $N $N-c; rc',
  ],
  [
    'network disconnect missing',
    'docker network create $N >/dev/null; docker network disconnect $N $N-none; rc; docker network disconnect -f $N $N-none; rc',
  ],
  [
    'network connect of a stopped container',
    'docker network create $N >/dev/null; docker create --name $N-c busybox ls /sys/class/net >/dev/null; docker network connect $N $N-c; rc; docker start -a $N-c',
  ],
  // -- published ports
  [
    'port of a published one',
    'docker run -d --name $N -p 127.0.0.1:18882:80 -p 18883:81/udp busybox sleep 60 >/dev/null; docker port $N; docker port $N 80; docker port $N 81/udp; docker port $N 82; rc; docker ps --filter name=$N --format "{{.Ports}}"',
  ],
  [
    'run -p used twice',
    'docker run -d --name $N-a -p 127.0.0.1:18884:80 busybox sleep 60 >/dev/null; docker run --name $N-b -p 127.0.0.1:18884:80 busybox true 2>&1 | grep -o "Bind for.*already allocated"; docker inspect -f "{{.State.Status}}" $N-b',
  ],
  ['run -p out of range', 'docker run --rm -p 70000:80 busybox true; rc'],
  ['run -p to port 0', 'docker run --rm -p 18886:0 busybox true; rc'],
  [
    'run -p of another address',
    'docker run --rm -p 203.0.113.9:18885:80 busybox true 2>&1 | grep -o "cannot assign requested address" | head -1',
  ],
  [
    'run -P',
    'docker run -d --name $N -P --expose 80 --expose 53/udp busybox sleep 60 >/dev/null; docker port $N | sed "s/:[0-9]*$/:port/" | sort; rc',
  ],
  [
    'run -p range',
    'docker run -d --name $N -p 127.0.0.1:18890-18892:90-92 busybox sleep 60 >/dev/null; docker port $N | sort; docker inspect -f "{{json .HostConfig.PortBindings}}" $N',
  ],
  // -- gateway modes, options
  [
    'network create with an unknown gateway mode',
    'docker network create -o com.docker.network.bridge.gateway_mode_ipv4=bogus $N; rc; docker network create --ipv6 -o com.docker.network.bridge.gateway_mode_ipv6=bogus $N; rc',
  ],
  [
    'network create isolated and not internal',
    'docker network create -o com.docker.network.bridge.gateway_mode_ipv4=isolated $N; rc',
  ],
  [
    'network create --internal isolated',
    'docker network create --internal --subnet 10.213.30.0/24 -o com.docker.network.bridge.gateway_mode_ipv4=isolated $N >/dev/null; rc; docker network inspect -f "{{json .IPAM.Config}}" $N; docker run --rm --network $N busybox sh -c "ip -4 -o addr show eth0; ip route"',
  ],
  [
    'run -p on a routed network',
    'docker network create --subnet 10.213.31.0/24 -o com.docker.network.bridge.gateway_mode_ipv4=routed $N >/dev/null; docker run -d --name $N -p 0.0.0.0:18901:80 -p 127.0.0.1:18902:81 --network $N busybox sleep 60 >/dev/null; rc; docker port $N; docker inspect -f "{{json .NetworkSettings.Ports}}" $N; docker ps --filter name=$N --format "{{.Ports}}"',
  ],
  [
    'run -p on a network of two modes',
    'docker network create --ipv6 -o com.docker.network.bridge.gateway_mode_ipv6=routed $N >/dev/null; docker run -d --name $N -p 18903:80 --network $N busybox sleep 60 >/dev/null; docker port $N; docker inspect -f "{{json .NetworkSettings.Ports}}" $N',
  ],
  [
    'run -p on an unprotected network',
    'docker network create -o com.docker.network.bridge.gateway_mode_ipv4=nat-unprotected $N >/dev/null; docker run -d --name $N -p 0.0.0.0:18904:80 --network $N busybox sleep 60 >/dev/null; docker port $N; rc',
  ],
  [
    'network create with a bad binding, MTU, switch',
    'docker network create -o com.docker.network.bridge.host_binding_ipv4=nonsense $N; rc; docker network create -o com.docker.network.driver.mtu=-5 $N; rc; docker network create -o com.docker.network.bridge.enable_ip_masquerade=maybe $N; rc; docker network create -o com.docker.network.bridge.inhibit_ipv4=maybe $N; rc',
  ],
  [
    'network create with a taken bridge name',
    'docker network create -o com.docker.network.bridge.name=brcase77 $N-a >/dev/null; docker network create -o com.docker.network.bridge.name=brcase77 $N-b; rc',
  ],
  [
    'network create with taken gateway and auxiliary addresses',
    'docker network create --subnet 10.213.32.0/24 --aux-address a=10.213.32.1 $N; rc; docker network create --subnet 10.213.32.0/24 --gateway 10.213.32.0 $N; rc; docker network create --subnet 10.213.32.0/24 --gateway 10.213.32.255 $N; rc; docker network create --subnet 10.213.32.0/24 --aux-address a=10.213.33.1 $N; rc; docker network create --subnet 10.213.32.0/24 --subnet 10.213.33.0/24 $N; rc',
  ],
  [
    'network with an interface prefix',
    'docker network create -o com.docker.network.container_iface_prefix=lan $N >/dev/null; docker run --rm --network $N busybox ls /sys/class/net; rc',
  ],
  ['network create for a swarm', 'docker network create --ingress $N; rc; docker network create --scope swarm $N; rc'],
  [
    'network without a free address',
    'docker network create --subnet 10.213.34.0/30 $N >/dev/null; docker run -d --name $N --network $N busybox sleep 60 >/dev/null; docker run --rm --network $N busybox true; rc',
  ],
  // -- configurations
  [
    'network create --config-only',
    'docker network create --config-only --subnet 10.213.35.0/24 --gateway 10.213.35.1 --label a=1 -o com.docker.network.driver.mtu=1400 $N >/dev/null; rc; docker network inspect -f "{{.Driver}} {{.ConfigOnly}} {{json .IPAM}} {{json .Options}} {{json .Labels}}" $N; docker run --rm --network $N busybox true; rc',
  ],
  [
    'network create --config-only with what is not a configuration',
    'docker network create --config-only --internal $N; rc; docker network create --config-only --attachable $N; rc; docker network create --config-only --subnet 10.213.36.7/24 $N; rc; docker network create --config-only --config-from x $N; rc',
  ],
  [
    'network create --config-from',
    'docker network create --config-only --subnet 10.213.37.0/24 --gateway 10.213.37.1 -o com.docker.network.driver.mtu=1400 $N-c >/dev/null; docker network create --config-from $N-c $N >/dev/null; rc; docker network inspect -f "{{.Driver}} {{json .ConfigFrom}} {{json .IPAM}} {{json .Options}}" $N; docker run --rm --network $N busybox cat /sys/class/net/eth0/mtu; docker network rm $N-c; docker network create --config-from $N-c $N-2; rc; docker network rm $N $N-c; rc',
  ],
  [
    'network create --config-from with settings of its own',
    'docker network create --config-only $N-c >/dev/null; docker network create --config-from $N-c --subnet 10.213.38.0/24 $N; rc; docker network create --config-from $N-c -o a=b $N; rc; docker network create --config-from $N-c --label a=b $N; rc; docker network create --config-from $N-c --ipv6 $N; rc; docker network create --config-from $N-none $N; rc; docker network create --config-from bridge $N; rc',
  ],
  // -- links
  [
    'run --link of what is not there',
    'docker run --rm --link $N-none busybox true; rc; docker run --rm --link a:b:c busybox true; rc; docker run --rm --link :b busybox true; rc',
  ],
  [
    'run --link to a stopped one',
    'docker create --name $N-s busybox >/dev/null; docker run --name $N-t --link $N-s:x busybox true; rc',
  ],
  [
    'run --link: variables and hosts',
    'docker run -d --name $N-db -h dbhost -e SECRET=1 --expose 5432 --expose 90/udp busybox sleep 60 >/dev/null; docker run --rm --name $N-w --link $N-db:db busybox sh -c "env | sort | grep ^DB; grep dbhost /etc/hosts" | tr "\\t" " " | sed -E "s/[0-9]+\\.[0-9]+\\.[0-9]+\\.[0-9]+/address/"; rc',
  ],
  [
    'links are shown, follow names and are removed',
    'docker create --name $N-db busybox >/dev/null; docker create --name $N-w --link $N-db:db --link $N-db busybox true >/dev/null; docker inspect -f "{{range .HostConfig.Links}}{{println .}}{{end}}" $N-w | sort; docker rename $N-db $N-db2; docker inspect -f "{{range .HostConfig.Links}}{{println .}}{{end}}" $N-w | sort; docker rm --link $N-w/db; rc; docker rm --link $N-w/db; rc; docker inspect -f "{{range .HostConfig.Links}}{{println .}}{{end}}" $N-w | sort; docker rm --link $N-w; rc',
  ],
  [
    'run --link with other modes',
    'docker run --rm --network host --link $N-db:db busybox true; rc; docker run --rm --network container:$N-db --link $N-db:db busybox true; rc',
  ],
  // -- the first network
  [
    'run --network host beside others',
    'docker run --rm --network host --network bridge busybox true; rc; docker run --rm --network host --ip 1.2.3.4 busybox true; rc',
  ],
  [
    'run --network container: of itself, of a stopped one, with exposed ports',
    'docker run --name $N --network container:$N busybox true; rc; docker run --rm --network container:$N-x --expose 80 busybox true; rc; docker run --rm --network container:$N-x --hostname y busybox true; rc; docker run --rm --network container:$N-x --dns 1.1.1.1 busybox true; rc; docker run --rm --network container:$N-x --add-host a:1.1.1.1 busybox true; rc',
  ],
  [
    'run --network container: follows the name',
    'docker run -d --name $N-a busybox sleep 60 >/dev/null; docker create --name $N-b --network container:$N-a busybox true >/dev/null; docker rename $N-a $N-c; docker start -a $N-b; rc; docker rm -f $N-c >/dev/null; docker start $N-b; rc',
  ],
  [
    'run with settings of an endpoint',
    'docker network create --subnet 10.213.39.0/24 $N >/dev/null; docker run --rm --network name=$N,ip=10.213.39.50,mac-address=02:42:ac:11:77:79,alias=zz,driver-opt=com.docker.network.endpoint.ifname=foo0 busybox ip -4 -o addr show foo0; rc; docker run --rm --network name=$N,driver-opt=com.docker.network.endpoint.sysctls=net.ipv4.conf.IFNAME.log_martians=1 busybox cat /proc/sys/net/ipv4/conf/eth0/log_martians; rc; docker run --rm --network name=$N,driver-opt=com.docker.network.endpoint.sysctls=net.ipv4.nonsense=1 busybox true; rc; docker run --rm --network name=$N,gw-priority=x busybox true; rc; docker run --rm --network $N --link-local-ip 169.254.3.3 busybox ip -4 -o addr show eth0 | grep 169; rc; docker run --rm --network $N --ip6 fd00::5 busybox true; rc; docker run --rm --network $N --ip 10.213.39.1 busybox true; rc',
  ],
  [
    'run --hostname with a domain',
    'docker run --rm --network none --hostname h.example.org busybox hostname; docker run --rm --hostname h.example.org busybox sh -c "tail -1 /etc/hosts | cut -f2"; docker run --rm --domainname example.org --hostname h busybox sh -c "hostname -f; tail -1 /etc/hosts | cut -f2"; rc',
  ],
  [
    'run --add-host',
    'docker run --rm --add-host x busybox true; rc; docker run --rm --add-host x:nonsense busybox true; rc; docker run --rm --add-host x=1.2.3.4 --add-host y:::1 --add-host "z=[::2]" --add-host h:host-gateway busybox sh -c "grep -E \\"[xyzh]$\\" /etc/hosts" | tr "\\t" " " | sed -E "s/1[07][0-9.]+ h/address h/"; rc',
  ],
  [
    'run -p with bad words',
    'docker run --rm -p 1.2.3:80:80 busybox true; rc; docker run --rm -p 80:80:80:80 busybox true; rc; docker run --rm -p 80/foo busybox true; rc; docker run --rm -p 100-90:80-90 busybox true; rc; docker run --rm -p 100-105:80-82 busybox true; rc; docker run --rm -p abc busybox true; rc; docker run --rm --expose 70000 busybox true; rc; docker run --rm --expose a busybox true; rc',
  ],
];
