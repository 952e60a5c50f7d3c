//! URLs that lead where webhooks may not go, in every spelling that parsers have been fooled by, and some that are fine.
//!
//! Sources: the WHATWG URL standard (numbers in hosts, IDNA), the IANA special-purpose address registries, and the
//! advisories of other guards: plain prefix checks, brackets, IPv6 transition forms, names that resolve inside.
//! Not formatted by rustfmt, which would put each on a line of its own.

/// Addresses and local names as hosts, each to be refused with `https://…/hook` around it.
#[rustfmt::skip]
pub const HOSTS: &[&str] = &[
    // This machine.
    "127.0.0.1", "127.0.0.1.", "127.1", "127.0.1", "127.255.255.254", "127.000.000.001", "0177.0.0.1", "0177.0.0.01",
    "0177.1", "017700000001", "0x7f.0.0.1", "0x7F.0x0.0x0.0x1", "0x7f.1", "0x7f000001", "0X7F000001", "2130706433",
    "2130706433.", "127.0.0x1", "0x7f.0.1", "0177.0x0.1", "127.0x000001", "127.0.0.0001", "0", "0.0.0.0", "0x0", "00",
    "0.0", "0.1.2.3", "000.000.000.000",
    // The same in other letters: percent signs, full width, circled, other dots, soft hyphens.
    "%31%32%37.0.0.1", "127%2e0%2e0%2e1", "%30%78%37%66.1", "１２７.０.０.１", "127。0。0。1", "127．0．0．1", "127｡0｡0｡1",
    "①②⑦.⓪.⓪.①", "𝟭𝟮𝟳.𝟬.𝟬.𝟭", "１２７。０。０。１", "０x7f.1", "127.0.0.1\u{ad}", "12\u{200b}7.0.0.1",
    // Private networks.
    "10.0.0.1", "10.255.255.255", "10.1", "012.0.0.1", "0xa.0.0.1", "0x0a000001", "167772161", "172.16.0.1",
    "172.31.255.255", "0254.020.0.1", "2886729729", "192.168.0.1", "192.168.255.255", "192.168.1", "0300.0250.0.1",
    "0xc0.0xa8.0.1", "3232235521", "１０.０.０.１", "192。168。0。1",
    // Link-local, and what clouds keep there and elsewhere.
    "169.254.169.254", "169.254.170.2", "169.254.0.1", "169.254.43518", "0xa9fea9fe", "2852039166", "0251.0376.0251.0376",
    "0xa9.0xfe.0xa9.0xfe", "169.16689662", "①⑥⑨.②⑤④.①⑥⑨.②⑤④", "168.63.129.16", "0xa83f8110", "100.100.100.200",
    "192.0.0.192", "192.0.0.170",
    // Carriers, benchmarks, documentation, relays, multicast, reserved.
    "100.64.0.1", "100.127.255.255", "198.18.0.1", "198.19.255.255", "192.0.2.1", "198.51.100.1", "203.0.113.1",
    "192.88.99.1", "192.0.0.1", "224.0.0.1", "239.255.255.250", "240.0.0.1", "255.255.255.255", "0xffffffff", "4294967295",
    // IPv6.
    "[::1]", "[::]", "[0:0:0:0:0:0:0:1]", "[0000:0000:0000:0000:0000:0000:0000:0001]", "[::0001]", "[0::1]", "[fc00::1]",
    "[fd00::1]", "[fd00:ec2::254]", "[fdff:ffff::1]", "[fe80::1]", "[fe80::a9fe:a9fe]", "[febf::1]", "[fec0::1]",
    "[ff02::1]", "[ff0e::1]", "[100::1]", "[2001:db8::1]", "[3fff::1]", "[2001:10::1]", "[2001:20::1]", "[5f00::1]",
    "[4000::1]", "[8000::1]", "[e000::1]", "[FE80::1]", "[FD00::1]",
    // IPv4 inside IPv6: mapped, compatible, translated, NAT64, 6to4, Teredo, ISATAP.
    "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[::FFFF:7F00:0001]", "[0:0:0:0:0:ffff:127.0.0.1]", "[::ffff:10.0.0.1]",
    "[::ffff:169.254.169.254]", "[::ffff:a9fe:a9fe]", "[::ffff:192.168.0.1]", "[::ffff:172.16.0.1]", "[::ffff:0.0.0.0]",
    "[::ffff:100.64.0.1]", "[::ffff:168.63.129.16]", "[::127.0.0.1]", "[::7f00:1]", "[::10.0.0.1]", "[::a9fe:a9fe]",
    "[::192.168.0.1]", "[::ffff:0:127.0.0.1]", "[::ffff:0:7f00:1]", "[::ffff:0:a9fe:a9fe]", "[64:ff9b::127.0.0.1]",
    "[64:ff9b::7f00:1]", "[64:ff9b::10.0.0.1]", "[64:ff9b::a9fe:a9fe]", "[64:ff9b::192.168.0.1]", "[64:ff9b:1::7f00:1]",
    "[64:ff9b:1::a9fe:a9fe]", "[64:ff9b:1:ffff::8.8.8.8]", "[2002:7f00:1::]", "[2002:7f00:1::1]", "[2002:a00:1::]",
    "[2002:a9fe:a9fe::]", "[2002:c0a8:1::]", "[2002:ac10:1::1]", "[2001::1]", "[2001:0:7f00:1::]",
    "[2001:0:4136:e378:8000:63bf:80ff:fffe]", "[2001:0:a9fe:a9fe:0:0:3f57:fefe]", "[fe80::5efe:7f00:1]",
    "[2606:4700::5efe:a00:1]", "[2606:4700::200:5efe:a9fe:a9fe]", "[2606:4700::5efe:192.168.0.1]",
    // Names of this machine, and of clouds for their metadata.
    "localhost", "LOCALHOST", "LocalHost", "localhost.", "x.localhost", "a.b.localhost.", "ｌｏｃａｌｈｏｓｔ", "ⓛⓞⓒⓐⓛⓗⓞⓢⓣ",
    "local%68ost", "loc\u{ad}alhost", "localhost。", "metadata.google.internal", "METADATA.GOOGLE.INTERNAL",
    "metadata.google.internal.", "metadata", "metadata.goog", "instance-data", "instance-data.ec2.internal",
];

/// Whole URLs, each to be refused.
#[rustfmt::skip]
pub const URLS: &[&str] = &[
    // User names and passwords, which make one host look like another.
    "https://example.com@127.0.0.1/", "https://example.com:443@10.0.0.1/", "https://user:pass@example.com/",
    "https://user@example.com/", "https://:pass@example.com/", "https://example.com%40@127.0.0.1/",
    "https://127.0.0.1@example.com/", "https://a:b@c:d@example.com/", "https://example.com#@127.0.0.1:8443@x/",
    "https://example.com/#fragment", "https://example.com/#@127.0.0.1/", "https://127.0.0.1#@example.com/",
    // Slashes, backslashes and white space that parsers disagree on.
    "https:127.0.0.1/", "https:/127.0.0.1/", "https:///127.0.0.1/", "https:////127.0.0.1/", "https:\\\\127.0.0.1\\",
    "https:/\\127.0.0.1/", "ht\ntps://127.0.0.1/", "https://127.0\t.0.1/", " https://127.0.0.1/ ", "https://127.0.0.1\\@x/",
    "\u{1}https://127.0.0.1/", "https://127.0.0.1?@example.com/", "https://127.0.0.1/@example.com",
    // No host, or none that can be.
    "https://", "https:///", "https://?x", "https://.", "https://[::1", "https://[fe80::1%25lo]/", "https://[fe80::1%lo]/",
    "https://[]/", "https://[127.0.0.1]/", "https://[::ffff:127.0.0.1.]/", "https://[example.com]/", "https://exa mple.com/",
    "https://256.0.0.1/", "https://127.0.0.1.5/", "https://0x100000000/", "https://4294967296/", "https://1.2.3.4.5/",
    "https://example.com:99999/", "https://example.com:-1/", "https://example.com:8e2/", "https://ex<ample.com/",
    "https://%00/", "https://%5b::1%5d/", "https://127.0.0.1%00.example.com/", "//127.0.0.1/", "/hook", "example.com", "",
    // Other schemes.
    "http://example.com/", "HTTP://EXAMPLE.COM/", "ftp://example.com/", "file:///etc/passwd", "file://localhost/etc/passwd",
    "gopher://127.0.0.1:6379/_PING", "dict://127.0.0.1:11211/stats", "ldap://example.com/", "ws://example.com/",
    "wss://example.com/", "javascript:alert(1)", "data:text/plain,x", "jar:https://example.com!/", "unix:/run/docker.sock",
    "blob:https://example.com/x", "about:blank", "view-source:https://example.com/", "httpss://example.com/",
];

/// URLs with ports that no worker calls unless they lead into a private network of its own, which an enqueuer cannot know.
#[rustfmt::skip]
pub const NOT_DIALLED: &[(&str, u16)] = &[
    ("https://example.com:22/", 22),
    ("https://example.com:25/", 25),
    ("https://example.com:80/", 80),
    ("https://example.com:6379/", 6379),
    ("https://example.com:5432/", 5432),
    ("https://example.com:0/", 0),
    ("https://example.com:65535/", 65535),
];

/// Names, and what a hostile name server says of them.
#[rustfmt::skip]
pub const NAMES: &[(&str, &[&str])] = &[
    ("127.0.0.1.nip.io", &["127.0.0.1"]),
    ("10-0-0-1.sslip.io", &["10.0.0.1"]),
    ("localtest.me", &["127.0.0.1"]),
    ("kubernetes.default.svc", &["10.96.0.1"]),
    ("router.lan", &["192.168.1.1"]),
    ("printer.local", &["169.254.3.4"]),
    ("metadata.example.com", &["169.254.169.254"]),
    ("azure.example.com", &["168.63.129.16"]),
    ("carrier.example.com", &["100.64.1.1"]),
    ("zero.example.com", &["0.0.0.0"]),
    ("multicast.example.com", &["224.0.0.251"]),
    ("mixed.example.com", &["93.184.215.14", "127.0.0.1"]),
    ("mixed-last.example.com", &["10.0.0.1", "93.184.215.14"]),
    ("mixed-families.example.com", &["93.184.215.14", "::1"]),
    ("six.example.com", &["::1"]),
    ("local-six.example.com", &["fd00::1"]),
    ("link-six.example.com", &["fe80::1"]),
    ("mapped.example.com", &["::ffff:127.0.0.1"]),
    ("compatible.example.com", &["::10.0.0.1"]),
    ("nat64.example.com", &["64:ff9b::a9fe:a9fe"]),
    ("local-nat64.example.com", &["64:ff9b:1::7f00:1"]),
    ("sixtofour.example.com", &["2002:7f00:1::"]),
    ("teredo.example.com", &["2001:0:4136:e378:8000:63bf:80ff:fffe"]),
    ("isatap.example.com", &["2606:4700::5efe:a00:1"]),
    ("aws-six.example.com", &["fd00:ec2::254"]),
    ("xn--80ak6aa92e.com", &["192.168.0.10"]),
    ("ＥＸＡＭＰＬＥ.com", &["127.0.0.1"]),
    ("example.com.", &["10.0.0.1"]),
];

/// Ordinary receivers: they pass at both places.
#[rustfmt::skip]
pub const PUBLIC: &[&str] = &[
    "https://example.com/", "https://example.com", "https://example.com/hook?a=b&c=d", "https://example.com:443/hook",
    "https://example.com:8443/hook", "HTTPS://EXAMPLE.COM/Hook", "https://hooks.example.co.uk/a/b/c", "https://xn--bcher-kva.example/",
    "https://bücher.example/", "https://日本.example/", "https://a-b.example.com/%20x", "https://8.8.8.8/", "https://1.1.1.1/hook",
    "https://172.15.255.255/", "https://172.32.0.1/", "https://192.167.0.1/", "https://11.0.0.1/", "https://100.63.255.255/",
    "https://100.128.0.1/", "https://169.253.0.1/", "https://[2606:4700::1111]/", "https://[2001:4860:4860::8888]/",
    "https://[::ffff:8.8.8.8]/", "https://[64:ff9b::8.8.8.8]/", "https://localhost.example.com/", "https://notlocalhost/",
    "https://127.0.0.1.example.com/", "https://example.com/127.0.0.1", "https://example.com/?next=http://127.0.0.1/",
    "https://example.com\\@127.0.0.1/", "https://example.com./",
];
