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
];
