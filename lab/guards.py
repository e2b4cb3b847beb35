"""Takes the guards of the doors away, one by one, in a copy, and sees whether their tests fail.

`make doors` prints a table; it ends with 1 if a guard can go unnoticed. `GUARDS=` chooses by words.
`DOORS.md` has the doors.
"""

# ruff: noqa: E501 (a table; guards are as long as they are)

from __future__ import annotations

import sys
from dataclasses import dataclass

from lab.breaking import Breakage, is_noticed, report

_WITHIN = 180.0


@dataclass(frozen=True)
class Guard(Breakage):
    """What keeps one door shut.

    Attributes:
        door: its number in `DOORS.md`.
        test: must fail without it; a file and a name of a test.
    """

    door: int
    test: str


_EDGE = "tests/contract/test_api_security.py::"
_BODIES = "tests/contract/test_api_bodies.py::"
_PROXY = "tests/security/test_proxy.py::"
_INTERFACE = "tests/security/test_interface.py::"
_PACKETS = "tests/security/test_packets.py::"
_LISTED = "tests/integration/test_listed_peers.py::"
_CONFINED = "tests/security/test_confinement.py::"
_LIMITS = "tests/security/test_edge_limits.py::"
_FACES = "tests/contract/test_faces.py::"
_POLICIES = "tests/security/test_policies.py::"
_KEYS = "tests/security/test_edge_keys.py::"
_CONNECTIONS = "tests/security/test_edge_connections.py::"
_HOSTILE = "tests/security/test_hostile_torrents.py::"
_VETTING = "tests/security/test_vetting.py::"
_PUBLISH = "tests/unit/disk/test_files.py::"
_ROOTS = "tests/unit/disk/test_roots.py::"
_TORRENT = "drivers/torrent/"
_YTDLP = "drivers/ytdlp/"
_YTDLP_TEST = "tests/security/test_ytdlp.py::"

GUARDS = (
    Guard("the Host is checked", "api/gates/security.py",
          "        if not is_ours:", "        if False:",
          1, _EDGE + "test_a_foreign_or_doubtful_host_is_refused_on_every_route"),
    Guard("0.0.0.0 is no name of ours", "api/gates/security.py",
          '_LOOPBACK_HOSTS = ("localhost",', '_LOOPBACK_HOSTS = ("0.0.0.0", "localhost",',
          2, _EDGE + "test_a_foreign_or_doubtful_host_is_refused_on_every_route"),
    Guard("there is one Host", "api/gates/security.py",
          "        if len(values) != 1 or", "        if not values or",
          3, _EDGE + "test_two_hosts_are_one_too_many"),
    Guard("what a proxy was asked for does not stand for the Host", "api/gates/security.py",
          "if len(values) != 1 or not self._is_ours(values[0].decode(\"latin-1\"), scope):",
          "if len(values) != 1 or not (forwarded_host(scope) or\n"
          "                self._is_ours(values[0].decode(\"latin-1\"), scope)):",
          1, "tests/contract/test_api_proxies.py::"
          "test_a_page_that_rebound_its_name_gains_nothing_by_what_a_proxy_would_say"),
    Guard("who names localhost needs a key, too", "api/gates/keys.py",
          "        if needed is None:",
          "        if needed is None or any(\n"
          "                host.startswith(b\"localhost\") for host in header_values(scope, b\"host\")"
          "\n        ):",
          4, _EDGE + "test_the_checks_come_in_the_order_of_the_contract"),
    Guard("JSON says that it is JSON", "api/gates/bodies.py",
          "        if kind is None or (kind != _JSON and not wanted.upload):\n",
          "        kind = kind or _JSON\n        if False:\n",
          5, _BODIES + "test_a_body_of_another_type_is_refused"),
    Guard("bodies of paths with parameters pass the gate, too", "api/policy.py",
          "            if method in entry.methods and entry.path.match(path):",
          "            if method in entry.methods and entry.policy.route == path:",
          5, "tests/security/test_edge_matrix.py"
          "::test_every_route_with_a_body_wants_it_to_be_json"),
    Guard("gates see an address as the router does", "api/policy.py",
          'path.removesuffix("\\n")', "path",
          5, _POLICIES + "test_the_gates_find_the_route_that_the_router_takes"),
    Guard("no route is without a policy", "api/policy.py",
          "            if policy is None:\n",
          "            policy = policy or Policy(None)\n            if policy is None:\n",
          17, _POLICIES + "test_an_application_with_a_route_without_a_policy_is_not_made"),
    Guard("posts of other sites are refused", "api/gates/security.py",
          '            return where not in (b"cross-site", b"same-site")', "            return True",
          6, _EDGE + "test_a_post_without_origin_is_judged_by_where_the_browser_says_it_comes_from"),
    Guard("origins are compared whole", "api/gates/security.py",
          "_LOOPBACK_ORIGIN.fullmatch(origin)", "_LOOPBACK_ORIGIN.match(origin)",
          7, _EDGE + "test_pages_from_elsewhere_may_neither_call_nor_read"),
    Guard("only known origins may read", "api/gates/security.py",
          "origin if welcome else None, embeddable", 'origin or "*", embeddable',
          8, _LIMITS + "test_every_answer_says_who_may_embed_it_and_films_may_be_by_pages_of_this_machine"),
    Guard("preflights are answered for known origins", "api/gates/security.py",
          "        elif not welcome:", '        elif not welcome and scope["method"] != "OPTIONS":',
          9, _EDGE + "test_a_preflight_from_elsewhere_is_refused"),
    Guard("tags of other sites get nothing", "api/gates/security.py",
          'return mode[-1].lower() == b"navigate" and', "return",
          10, _LIMITS + "test_an_image_script_or_film_tag_of_a_foreign_page_gets_nothing"),
    Guard("answers have the security headers", "api/gates/security.py",
          'list(message.get("headers", [])) + PAGE_HEADERS', 'list(message.get("headers", []))',
          12, _EDGE + "test_every_answer_has_the_security_headers"),
    Guard("frames of other sites get nothing", "api/gates/security.py",
          ' and into[-1].lower() == b"document"', "",
          12, _LIMITS + "test_a_frame_of_a_foreign_page_gets_nothing_and_takes_no_stream"),
    Guard("the server's own answers have the headers, too", "server/connections.py",
          "            *PAGE_HEADERS,\n", "", 13, _CONNECTIONS + "test_no_http_at_all_gets_an_answer_in_our_shape"),
    Guard("a wide bind needs a secret", "api/settings.py",
          "        if self.host not in _LOOPBACK:", "        if False:",
          14, "tests/unit/test_settings.py::test_an_address_others_can_reach_needs_a_long_secret"),
    Guard("keys are compared in constant time", "api/gates/keys.py",
          "hmac.compare_digest(given, digest)", "given == digest",
          15, _KEYS + "test_the_ring_holds_digests_and_compares_every_one"),
    Guard("a key may be any text", "api/gates/keys.py",
          'text.encode("utf-8", "surrogateescape")', 'text.encode("ascii")',
          16, _KEYS + "test_no_key_whatever_breaks_the_gate"),
    Guard("keys have scopes", "api/gates/keys.py",
          "        elif allowed < needed:", "        elif False:",
          17, _KEYS + "test_each_key_may_do_what_its_scope_says_and_no_more"),
    Guard("a link only reads", "api/gates/keys.py",
          "if not self._policies.of(scope).signable:",
          'if not self._policies.find("GET", scope["path"]).signable:',
          18, _KEYS + "test_a_link_is_handed_out_to_a_reader_and_opens_only_its_film"),
    Guard("a link opens films and subtitles alone", "api/gates/keys.py",
          "        if not self._policies.of(scope).signable:", "        if False:",
          19, _KEYS + "test_a_sound_signature_over_anything_but_a_film_opens_nothing"),
    Guard("a signature covers the path", "api/gates/signing.py",
          'f"{expires}\\n{path}"', 'f"{expires}\\n"',
          19, _KEYS + "test_a_signature_ends_and_cannot_be_stretched_moved_or_forged"),
    Guard("a link in the place of the secret is not followed", "runtime/state_folder.py",
          "os.open(path, os.O_RDONLY | os.O_NOFOLLOW)", "os.open(path, os.O_RDONLY)",
          20, _KEYS + "test_a_link_in_the_place_of_the_secret_is_not_followed"),
    Guard("only known proxies are believed", "api/gates/forwarded.py",
          "            if is_in(host, self._proxies):", "            if True:", 21, _LIMITS + "test_only_a_known_proxy_is_believed_and_only_its_own_entry"),
    Guard("the limiter forgets", "api/gates/limits.py",
          "slot = min(slots, key=self._ends.__getitem__)", "slot = first",
          22, _LIMITS + "test_when_there_is_no_room_the_oldest_window_is_forgotten"),
    Guard("an IPv6 client is its network", "api/gates/clients.py",
          "return str(ipaddress.IPv6Network((address, 64), strict=False))", "return host",
          23, _EDGE + "test_clients_are_told_apart_ipv6_ones_by_their_network"),
    Guard("each client has a count of its own", "api/gates/limits.py",
          "(policy.route, client_of(scope)))", '(policy.route, "all"))',
          24, _EDGE + "test_clients_are_told_apart_ipv6_ones_by_their_network"),
    Guard("half a head is given up", "server/connections.py",
          "            connection.too_slow()", "            pass",
          25, _CONNECTIONS + "test_half_a_head_is_given_up_in_time_and_silence_too"),
    Guard("a trickle does not count as progress", "server/connections.py",
          "        began_in_head = self._in_head\n",
          "        began_in_head = self._in_head\n        self._limiter.waits(self)\n",
          26, _CONNECTIONS + "test_a_head_that_trickles_is_given_up_although_it_never_stops"),
    Guard("an endless field is cut off", "server/connections.py",
          "            if self._received > MAX_HEAD:", "            if False:",
          27, _CONNECTIONS + "test_a_field_without_end_is_no_larger_either"),
    Guard("many fields are cut off", "server/connections.py",
          "        if self._parsed > MAX_HEAD:", "        if False:",
          27, _CONNECTIONS + "test_a_head_that_comes_at_once_is_no_larger_either"),
    Guard("idle connections give way", "server/connections.py",
          "next((c for c in chain(self._waiting, self._owing) if fits(c)), None)", "None",
          28, _CONNECTIONS + "test_too_many_connections_cost_the_idle_ones_not_the_new_one"),
    Guard("a body has an end", "api/gates/bodies.py",
          "if len(body) + len(part) > self._limit:", "if False:",
          29, _BODIES + "test_a_body_without_end_is_cut_off"),
    Guard("a body comes in time", "api/gates/bodies.py",
          "asyncio.timeout(_JSON_SECONDS)", "asyncio.timeout(None)",
          30, _LIMITS + "test_a_body_that_does_not_come_is_given_up_in_time"),
    Guard("who does not read is given up", "server/connections.py",
          "self._limiter.allow(self, PLAYER_SECONDS if film else READ_SECONDS)", "pass",
          31, _CONNECTIONS + "test_a_client_that_does_not_read_is_given_up"),
    Guard("streams of a client are counted", "api/gates/limits.py",
          "        if mine >= self._per_client or everybodys", "        if everybodys",
          32, _LIMITS + "test_each_client_has_a_bounded_number_of_streams_and_gets_them_back"),
    Guard("a listener's queue is bounded", "jobs/bus.py",
          "        if len(self._waiting) > self._size:", "        if False:",
          33, "tests/unit/jobs/test_bus.py::test_one_that_does_not_keep_up_is_dropped_and_the_others_stay"),
    Guard("JSON traps are refused", "api/gates/bodies.py",
          "await self._flaw(whole) if kind == _JSON and whole else None", "None", 34, _BODIES + "test_json_that_is_none_or_a_trap_is_refused"),
    Guard("separators are no part of a name", "names.py",
          "text.translate(_FORBIDDEN).strip()", "text.strip()",
          36, _PUBLISH + "test_a_safe_name_is_one_harmless_component_of_at_most_200_bytes"),
    Guard("names of a torrent are made safe", _TORRENT + "engine/params.py",
          "zip(indices, safe_paths(wanted), strict=True)", "zip(indices, wanted, strict=True)",
          37, "tests/unit/drivers/torrent/test_params.py"
          "::test_hostile_names_in_a_torrent_stay_below_its_folder"),
    Guard("names of devices are changed", "names.py",
          '    if text.split(".")[0].rstrip().lower() in _RESERVED:', "    if False:",
          38, _PUBLISH + "test_a_safe_name_is_one_harmless_component_of_at_most_200_bytes"),
    Guard("names are told apart for a case-blind disk", "names.py",
          "        while key in taken:", "        while False:",
          39, _PUBLISH + "test_safe_paths_are_relative_harmless_and_distinct_to_a_case_blind_disk"),
    Guard("a torrent with links is refused", _TORRENT + "engine/gate.py",
          "        if layout.file_flags(index) & lt.file_flags_t.flag_symlink:", "        if False:",
          40, _HOSTILE + "test_a_magnet_to_links_is_refused_and_none_is_ever_made"),
    Guard("planted links are found", "disk/plain.py",
          "    elif not stat.S_ISREG(status.st_mode) or (status.st_nlink > 1 and not shared):", "    elif False:",
          41, _HOSTILE + "test_every_kind_of_link_and_special_file_in_unfinished_data_is_found"),
    Guard("nothing is replaced", "disk/files.py",
          "_RENAME_NOREPLACE = 1", "_RENAME_NOREPLACE = 0",
          42, _PUBLISH + "test_publishing_replaces_nothing"),
    Guard("nothing is deleted through a link", "disk/files.py",
          "        if not parent.is_relative_to(root):\n            continue",
          "        if not parent.is_relative_to(root):\n"
          "            target.unlink(missing_ok=True)\n            continue", 43, _PUBLISH + "test_nothing_outside_of_the_media_root_is_deleted"),
    Guard("no folder is swapped for a link meanwhile", "disk/files.py",
          "_FOLDER | os.O_NOFOLLOW, dir_fd", "_FOLDER, dir_fd",
          43, "tests/security/test_swaps.py"
          "::test_nothing_elsewhere_is_deleted_if_a_folder_is_a_link_once_it_is_opened"),
    Guard("no published file may be run", "disk/plain.py",
          "    elif strip and status.st_mode & 0o111:", "    elif False:",
          44, _HOSTILE + "test_no_published_file_may_be_run"),
    Guard("programs are left out", "disk/programs.py",
          "    return _suffix(name) in PROGRAMS or any(", "    return False and any(",
          45, _HOSTILE + "test_programs_of_a_film_never_reach_the_disk_and_the_event_says_so"),
    Guard("nothing is wanted before its name was seen", _TORRENT + "engine/gate.py",
          "        params.flags |= lt.torrent_flags.default_dont_download\n        return selection",
          "        return selection",
          45, _VETTING + "test_without_metadata_nothing_is_wanted_yet_and_the_wish_is_kept"),
    Guard("metadata of peers is bounded", _TORRENT + "engine/config.py",
          '    "max_metadata_size": 8 * 1024 * 1024,\n', "",
          47, _VETTING + "test_the_engine_has_the_same_limits_for_metadata_that_comes_later"),
    Guard("trackers are few", _TORRENT + "engine/gate.py",
          "_LOOKED_AT * most)), most))", "_LOOKED_AT * most)), None))",
          48, _VETTING + "test_fifty_thousand_trackers_peers_and_seeds_become_a_few"),
    Guard("of many trackers a part is looked at", _TORRENT + "engine/gate.py",
          "islice(entries, _LOOKED_AT * most)", "entries",
          48, _VETTING + "test_of_many_trackers_only_the_first_are_looked_at"),
    Guard("large torrent files are refused unread", _TORRENT + "engine/params.py",
          "        if len(source.data) > MAX_TORRENT_BYTES:", "        if False:",
          46, _VETTING + "test_every_bomb_is_refused_or_tamed"),
    Guard("unusable metadata ends a look", _TORRENT + "inspector.py",
          "                if torrent.lost is not None:", "                if False:",
          46, "tests/integration/test_inspect.py"
          "::test_metadata_that_is_a_bomb_is_refused_as_soon_as_it_is_there"),
    Guard("metadata comes in time", _TORRENT + "engine/torrent.py",
          "time.monotonic() - self._began > self.patience:", "False:",
          49, _HOSTILE + "test_metadata_that_never_comes_gives_the_slot_to_others_and_says_why"),
    Guard("addresses at home are dropped", _TORRENT + "engine/gate.py",
          "        return public or self.allow_private", "        return True",
          50, _VETTING + "test_no_spelling_of_a_local_address_gets_through_in_any_role"),
    Guard("wrapped addresses are private", "net/addresses.py",
          '"2001::/32", "2002::/16", ', "",
          51, "tests/unit/net/test_addresses.py::test_addresses_that_wrap_an_ipv4_address_are_private"),
    Guard("the grammar of addresses is strict", _TORRENT + "engine/gate.py",
          "|[a-z0-9._-]+)", "|[^/]+)",
          52, _VETTING + "test_what_two_readers_could_read_differently_is_dropped"),
    Guard("plain ws trackers are the user's own", _TORRENT + "engine/gate.py",
          '        if parts["scheme"].lower() != "ws" or', "        if True or",
          53, _VETTING + "test_a_plain_websocket_tracker_must_be_one_the_user_chose"),
    Guard("names of ws trackers are resolved", _TORRENT + "engine/gate.py",
          'return await resolves_to_public(parts["host"].strip("[]"), _port(parts))', "return True",
          54, _VETTING + "test_a_websocket_tracker_whose_name_leads_home_is_dropped"),
    Guard("all addresses of a name are public", "net/addresses.py",
          "    return all(is_public(str(entry", "    return any(is_public(str(entry",
          54, "tests/unit/net/test_addresses.py::test_a_name_is_public_only_if_all_its_addresses_are"),
    Guard("our own API is no tracker", _TORRENT + "engine/gate.py",
          "or (port in self.own_ports and not number)", "",
          55, _VETTING + "test_our_own_api_is_never_talked_to_whatever_is_allowed"),
    Guard("resume data passes the gate, too", _TORRENT + "engine/params.py",
          "    vetting.vet(params, request.gate)\n",
          "    if request.resume is None:\n        vetting.vet(params, request.gate)\n",
          56, "tests/unit/drivers/torrent/test_params.py::test_private_addresses_in_resume_data_are_dropped_too"),
    Guard("films and state are apart", "settings.py",
          "        if state == media or media in state.parents or state in media.parents:",
          "        if False:",
          57, "tests/unit/test_settings.py::test_media_and_state_must_not_contain_each_other"),
    Guard("what is shared lies in the media folder", _TORRENT + "making/maker.py",
          "        if not inside:", "        if False:",
          59, "tests/acceptance/test_seed.py::test_paths_that_lead_nowhere_or_out_are_refused"),
    Guard("known secrets are hidden in every line", "runtime/redaction.py",
          "        text = text.replace(secret, HIDDEN)", "        pass",
          60, "tests/security/test_canaries.py::test_no_secret_is_in_anything_that_leaves"),
    Guard("the state is closed to others", "storage/sqlite/database.py",
          "os.O_CREAT | os.O_CLOEXEC, 0o600", "os.O_CREAT | os.O_CLOEXEC, 0o644",
          62, "tests/security/test_canaries.py::test_what_is_kept_is_closed_to_others"),
    Guard("certificates of trackers are checked", _TORRENT + "engine/config.py",
          '"validate_https_trackers": True', '"validate_https_trackers": False',
          63, _VETTING + "test_the_engine_has_the_same_limits_for_metadata_that_comes_later"),
    Guard("a child gets no setting of ours", "media/sandbox.py",
          "env={name: os.environ[name] for name in _VARIABLES if name in os.environ}", "env=None",
          65, "tests/integration/test_media_facts.py"
          "::test_a_child_gets_neither_our_secrets_nor_our_files"),
    Guard("a proxy turns WebRTC off", "drivers/torrent/engine/config.py",
          '"CHILLY_PROXY": self.is_forced,', "",
          68, _PROXY + "test_with_a_dead_proxy_no_packet_goes_anywhere_else"),
    Guard("trackers are asked through the proxy", "drivers/torrent/engine/config.py",
          '"proxy_tracker_connections": True,', '"proxy_tracker_connections": False,',
          68, _PROXY + "test_with_a_dead_proxy_no_packet_goes_anywhere_else"),
    Guard("peers are called through the proxy", "drivers/torrent/engine/config.py",
          '"proxy_peer_connections": True,', '"proxy_peer_connections": False,',
          68, _PROXY + "test_with_a_dead_proxy_no_packet_goes_anywhere_else"),
    Guard("there is no DHT beside a proxy", "drivers/torrent/engine/config.py",
          "return self.dht and self.proxy is None", "return self.dht",
          68, _PROXY + "test_a_film_comes_through_the_proxy_and_no_packet_goes_anywhere_else"),
    Guard("the film catalogue is asked through the proxy", "storage/catalogues.py",
          "transport=network.config.outbound.transport() if key or token else None",
          "transport=None",
          68, _PROXY + "test_with_a_dead_proxy_no_packet_goes_anywhere_else"),
    Guard("links are followed through the proxy", "net/policy.py",
          "        outbound = self.config.outbound\n", "        outbound = Outbound()\n",
          68, _PROXY + "test_with_a_dead_proxy_no_packet_goes_anywhere_else"),
    Guard("all stops when the interface goes", "net/policy.py",
          "        self._halted = self._seen = why\n", "        self._halted = self._seen = why = None\n",
          69, _INTERFACE + "test_what_begins_while_the_interface_is_away_waits_for_it"),
    Guard("calls are bound to the device of an address", "drivers/torrent/engine/config.py",
          "interfaces.outgoing(config.interface)", "config.interface",
          70, _INTERFACE + "test_when_the_interface_goes_all_stops_and_when_it_is_back_all_goes_on"),
    Guard("the DHT begins with what is not private", "drivers/torrent/engine/session.py",
          "        if not private:\n            self.traffic", "        if True:\n            self.traffic",
          71, _PACKETS + "test_an_idle_server_is_silent_and_a_private_torrent_is_known_to_its_own_only"),
    Guard("so does STUN", "drivers/torrent/engine/session.py",
          "if not private or any(map(is_websocket, params.trackers)):", "if True:",
          71, _PACKETS + "test_an_idle_server_is_silent_and_a_private_torrent_is_known_to_its_own_only"),
    Guard("the engine's filter has the user's lists", "drivers/torrent/engine/filters.py",
          "made.add_rule(first, last, int(shut))", "pass",
          72, _LISTED + "test_a_block_list_holds_for_every_role_and_is_read_again_when_it_changes"),
    Guard("links are compared with the lists", "net/policy.py",
          "outbound.transport(self.why_not)", "outbound.transport()",
          72, _LISTED + "test_a_block_list_holds_for_every_role_and_is_read_again_when_it_changes"),
    Guard("a list turns WebRTC off", "drivers/torrent/engine/config.py",
          '"CHILLY_BLOCK_LIST or CHILLY_ALLOW_LIST": self.has_lists,', "",
          72, _LISTED + "test_sighup_reads_the_lists_again_and_webrtc_is_said_to_be_off"),
    Guard("peer ids tell nothing in anonymous mode", "drivers/torrent/engine/config.py",
          'pack["peer_fingerprint"] = ""', "pass",
          73, "tests/integration/test_anonymous.py::"
          "test_in_anonymous_mode_nobody_is_told_which_program_we_are"),
    Guard("the engine writes to the folder that was looked at, not to its name", "drivers/torrent/engine/session.py",
          "params.save_path = params.part_file_dir = str(held.path)", "pass",
          41, _HOSTILE + "test_a_folder_swapped_for_a_link_while_a_film_arrives_leads_the_engine_nowhere"),
    Guard("the child that looks into films opens nothing more", "media/child.py",
          "    open_no_more()\n    confine()\n", "",
          74, "tests/security/test_media_references.py::test_a_list_of_addresses_in_the_place_of_a_film_calls_nobody"),
    Guard("who takes that child over can do nothing", "media/child.py",
          "    open_no_more()\n    confine()\n", "    open_no_more()\n",
          75, _CONFINED + "test_a_film_that_takes_the_child_over_reaches_nothing_outside_of_it"),
    Guard("nor write where it may still read", "media/confinement.py",
          "_unless(_OPENAT[column], 2, _WRITING)", "_unless(_OPENAT[column], 2, 0)",
          75, _CONFINED + "test_who_still_imports_modules_may_read_files_and_do_nothing_else"),
    Guard("a face wants a key", "api/gates/faces.py",
          "        if not is_public and (may is None or may < face.takes(inner)):", "        if False:",
          76, _FACES + "test_a_face_reads_keys_in_its_own_form_and_each_may_what_it_may_in_the_api"),
    Guard("a face stands behind host and origin", "api/app.py",
          "    if faces:\n        app = FaceGate(app, faces, policies, keys)\n    app = HostGate(app, policies, api_options)\n",
          "    app = HostGate(app, policies, api_options)\n    if faces:\n        app = FaceGate(app, faces, policies, keys)\n",
          76, _FACES + "test_a_face_stands_behind_the_host_and_origin_rules"),
    Guard("a body for a face has an end", "api/gates/faces.py",
          "limit=face.body_limit", "limit=ROOM",
          76, _FACES + "test_a_face_has_a_limit_of_its_own_for_bodies_of_any_type"),
    Guard("no link below a root is followed", "disk/roots.py",
          "return os.open(name, flags | os.O_NOFOLLOW, dir_fd=parent)", "return os.open(name, flags, dir_fd=parent)",
          77, _ROOTS + "test_no_link_below_a_root_is_followed"),
    Guard("a path does not climb out of its root", "disk/roots.py",
          '        if ".." in path.parts:', "        if False:",
          77, _ROOTS + "test_what_lies_in_no_root_is_refused_without_its_path"),
    Guard("what we keep ourselves is no source", "disk/roots.py",
          "            if real.is_relative_to(ours) or ours.is_relative_to(real):", "            if False:",
          77, _ROOTS + "test_what_we_keep_ourselves_is_no_source_nor_what_holds_it"),
    Guard("hosts are judged as they are written", _YTDLP + "proxy.py",
          "config.allow_private_addresses or literal_host_is_public(host)", "config.allow_private_addresses or host",
          78, _YTDLP_TEST + "test_no_spelling_of_a_private_address_is_reached"),
    Guard("addresses of names are judged", _YTDLP + "proxy.py",
          ", self._policy.why_not)", ")",
          78, _YTDLP_TEST + "test_no_spelling_of_a_private_address_is_reached"),
    Guard("the child reaches its proxy alone", _YTDLP + "enclosure.py",
          'elif event == "socket.connect":', 'elif event == "":',
          78, _YTDLP_TEST + "test_the_child_can_reach_its_proxy_and_its_folder_and_nothing_else"),
    Guard("the child starts ffmpeg alone", _YTDLP + "enclosure.py",
          'elif event == "subprocess.Popen":', 'elif event == "":',
          79, _YTDLP_TEST + "test_the_child_can_reach_its_proxy_and_its_folder_and_nothing_else"),
    Guard("the child writes to its folder alone", _YTDLP + "enclosure.py",
          'if event == "open":', 'if event == "":',
          80, _YTDLP_TEST + "test_the_child_can_reach_its_proxy_and_its_folder_and_nothing_else"),
    Guard("a redirect to elsewhere has no credentials", _YTDLP + "credentials.py",
          "if k.lower() not in names", "if k",
          81, "tests/integration/test_ytdlp_driver.py::test_what_a_server_is_told_in_confidence_no_other_server_hears"),
    Guard("the proxy wants its password", _YTDLP + "proxy.py",
          "not wish.knows(self._token)", "False",
          82, _YTDLP_TEST + "test_only_its_child_may_use_the_proxy_and_never_for_our_own_server"),
    Guard("nothing leads to our own server", "net/policy.py",
          "port in self.config.own_ports and is_ours(address)", "False",
          82, _YTDLP_TEST + "test_only_its_child_may_use_the_proxy_and_never_for_our_own_server"),
)  # fmt: skip


def verdict_of(guard: Guard) -> tuple[bool, str]:
    """Take it away; whether its test fails, and how."""
    compile(guard.broken(), guard.module, "exec")
    words = ["-p", "no:xdist", "--timeout", "30", guard.test]
    noticed, how = is_noticed(guard, words, _WITHIN, {})
    return noticed, f"door {guard.door}: {how}"


def main() -> int:
    """The command line: all guards, or those whose description or door is given."""
    words = sys.argv[1:]
    wanted = [g for g in GUARDS
              if not words or str(g.door) in words or all(word in g.what for word in words)]  # fmt: skip
    return report(wanted, verdict_of)


if __name__ == "__main__":
    sys.exit(main())
