# shellcheck shell=bash
# What xymon-test and probes-test share, inside packaging/scratch-root: scenes, and a network to play them on.

failures=()

# scene NAME, then any number of `complain WHAT`, then `end`.
scene() {
    scene=$1
    complaints=()
}

complain() {
    complaints+=("$*")
}

# expect WHAT FOUND WANTED
expect() {
    [[ $2 == "$3" ]] || complain "$1: '$2' and not '$3'"
}

end() {
    if ((${#complaints[@]} == 0)); then
        echo "ok      $scene"
    else
        echo "FAILED  $scene"
        printf '        %s\n' "${complaints[@]}"
        failures+=("$scene")
    fi
}

finish() {
    ((${#failures[@]} == 0)) && exit 0
    echo "${#failures[@]} FAILED"
    exit 1
}

# Waits for what has to come true; that it does not within a minute is a fault.
wait_until() {
    local end=$((SECONDS + 60))
    until "$@" >/dev/null 2>&1; do
        ((SECONDS < end)) || { complain "waited in vain: $*"; return 0; }
        sleep 0.01
    done
}

# The lab: hosts beyond a router, `far`, which is a network namespace of its own.
#   192.0.2.0/24     alive
#   198.18.1.0/24    alive, 12 ms away, answering one at a time
#   198.51.100.0/24  silent
#   203.0.113.0/24   unreachable, says the router
#   198.18.0.0/24    between us (.1) and it (.2): nobody else is there
make_lab() {
    ip netns add far
    ip -n far link set lo up
    join_lab $$ 198.18.0
    ip -n far route add local 192.0.2.0/24 dev lo
    ip -n far route add blackhole 198.51.100.0/24
    ip -n far route add unreachable 203.0.113.0/24
    ip netns exec far sh -c 'echo 1 >/proc/sys/net/ipv4/ip_forward'
    # shellcheck disable=SC2016 # this is Perl
    # Turns an echo request (8) into its reply (0) with the addresses exchanged, which leaves the IP header's checksum.
    ip netns exec far perl -e '
        my ($tunsetiff, $tun_without_header, $echo) = (0x400454ca, 0x1001, "\10\0");
        my $request = pack("a16 s x22", "slow", $tun_without_header);
        open(my $tun, "+<", "/dev/net/tun") or die "tun: $!";
        ioctl($tun, $tunsetiff, $request) or die "slow: $!";
        system("ip link set slow up && ip route add 198.18.1.0/24 dev slow") and die;
        open(my $ready, ">", "/run/slow-hosts");
        while (sysread($tun, my $packet, 65536)) {
            next unless ord($packet) == 0x45 and substr($packet, 9, 1) eq "\1" and substr($packet, 20, 2) eq $echo;
            select(undef, undef, undef, 0.012);
            my $sum = unpack("n", substr($packet, 22, 2)) + 0x800;
            substr($packet, 12, 8) = substr($packet, 16, 4) . substr($packet, 12, 4);
            substr($packet, 20, 4) = pack("n n", 0, ($sum & 0xffff) + ($sum >> 16));
            syswrite($tun, $packet);
        }' &
    wait_until test -e /run/slow-hosts
}

# make_probe NAME NET: another machine that pings, NET.1 in a network namespace called NAME.
make_probe() {
    ip netns add "$1"
    ip -n "$1" link set lo up
    join_lab "$1" "$2"
}

# join_lab NAMESPACE NET
join_lab() {
    local here=(ip) far="far-$2"
    [[ $1 == "$$" ]] || here=(ip -n "$1")
    ip -n far link add "$far" type veth peer name near netns "$1"
    ip -n far address add "$2.2/24" dev "$far"
    ip -n far link set "$far" up
    "${here[@]}" address add "$2.1/24" dev near
    "${here[@]}" link set near up
    "${here[@]}" route add default via "$2.2"
}
