"""Takes the guards of the doors away, one by one, in a copy, and sees whether their tests fail.

`make doors` prints a table; it ends with 1 if a guard can go unnoticed. `GUARDS=` chooses by words.
`DOORS.md` has the doors.
"""

# ruff: noqa: E501 (a table; guards are as long as they are)

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
_WITHIN = 180.0


@dataclass(frozen=True)
class Guard:
    """What keeps one door shut.

    Attributes:
        door: its number in `DOORS.md`.
        what: the guard does.
        module: below the package.
        right: the lines of the guard, which are there once.
        wrong: what stands there instead.
        test: must fail then; a file and a name of a test.
    """

    door: int
    what: str
    module: str
    right: str
    wrong: str
    test: str


_EDGE = "tests/contract/test_api_security.py::"
_BODIES = "tests/contract/test_api_bodies.py::"
_PROXY = "tests/security/test_proxy.py::"
_INTERFACE = "tests/security/test_interface.py::"
_PACKETS = "tests/security/test_packets.py::"
_LISTED = "tests/integration/test_listed_peers.py::"
_LIMITS = "tests/security/test_edge_limits.py::"
_KEYS = "tests/security/test_edge_keys.py::"
_CONNECTIONS = "tests/security/test_edge_connections.py::"
_HOSTILE = "tests/security/test_hostile_torrents.py::"
_VETTING = "tests/security/test_vetting.py::"
_PUBLISH = "tests/unit/test_publish.py::"
_TORRENT = "drivers/torrent/"

GUARDS = (
    Guard(1, "the Host is checked", "api/security.py",
          "        if not self._known_host(scope):", "        if False:",
          _EDGE + "test_a_foreign_or_doubtful_host_is_refused_on_every_route"),
    Guard(2, "0.0.0.0 is no name of ours", "api/security.py",
          '_LOOPBACK_HOSTS = ("localhost",', '_LOOPBACK_HOSTS = ("0.0.0.0", "localhost",',
          _EDGE + "test_a_foreign_or_doubtful_host_is_refused_on_every_route"),
    Guard(3, "there is one Host", "api/security.py",
          "_HOST.fullmatch(values[0]) if len(values) == 1", "_HOST.fullmatch(values[0]) if values",
          _EDGE + "test_two_hosts_are_one_too_many"),
    Guard(4, "who names localhost needs a key, too", "api/keys.py",
          "not self._keys or _is_open(scope[\"path\"]):",
          "not self._keys or _is_open(scope[\"path\"]) or any(\n"
          "                host.startswith(b\"localhost\") for host in header_values(scope, b\"host\")"
          "\n        ):",
          _EDGE + "test_the_checks_come_in_the_order_of_the_contract"),
    Guard(5, "JSON says that it is JSON", "api/bodies.py",
          "        if kind is None or (kind != _JSON and scope[\"path\"] not in self._paths):\n",
          "        kind = kind or _JSON\n        if False:\n",
          _BODIES + "test_a_body_of_another_type_is_refused"),
    Guard(5, "bodies of paths with parameters pass the gate, too", "api/app.py",
          "BodyGate(inner, fixed, shaped)", "BodyGate(inner, fixed)",
          "tests/security/test_edge_matrix.py"
          "::test_every_route_with_a_body_wants_it_to_be_json"),
    Guard(6, "posts of other sites are refused", "api/security.py",
          '            return where not in (b"cross-site", b"same-site")', "            return True",
          _EDGE + "test_a_post_without_origin_is_judged_by_where_the_browser_says_it_comes_from"),
    Guard(7, "origins are compared whole", "api/security.py",
          "_LOOPBACK_ORIGIN.fullmatch(origin)", "_LOOPBACK_ORIGIN.match(origin)",
          _EDGE + "test_pages_from_elsewhere_may_neither_call_nor_read"),
    Guard(8, "only known origins may read", "api/security.py",
          "origin if welcome else None, scope", 'origin or "*", scope',
          _LIMITS + "test_every_answer_says_who_may_embed_it_and_films_may_be_by_pages_of_this_machine"),
    Guard(9, "preflights are answered for known origins", "api/security.py",
          "        elif not welcome:", '        elif not welcome and scope["method"] != "OPTIONS":',
          _EDGE + "test_a_preflight_from_elsewhere_is_refused"),
    Guard(10, "tags of other sites get nothing", "api/security.py",
          'return mode[-1].lower() == b"navigate" and', "return",
          _LIMITS + "test_an_image_script_or_film_tag_of_a_foreign_page_gets_nothing"),
    Guard(12, "answers have the security headers", "api/security.py",
          'list(message.get("headers", [])) + PAGE_HEADERS', 'list(message.get("headers", []))',
          _EDGE + "test_every_answer_has_the_security_headers"),
    Guard(12, "frames of other sites get nothing", "api/security.py",
          ' and into[-1].lower() == b"document"', "",
          _LIMITS + "test_a_frame_of_a_foreign_page_gets_nothing_and_takes_no_stream"),
    Guard(13, "the server's own answers have the headers, too", "connections.py",
          "            *PAGE_HEADERS,\n", "", _CONNECTIONS + "test_no_http_at_all_gets_an_answer_in_our_shape"),
    Guard(14, "a wide bind needs a secret", "settings.py",
          "        if self.host not in _LOOPBACK:", "        if False:",
          "tests/unit/test_settings.py::test_an_address_others_can_reach_needs_a_long_secret"),
    Guard(15, "keys are compared in constant time", "api/keys.py",
          "hmac.compare_digest(given, digest)", "given == digest",
          _KEYS + "test_the_ring_holds_digests_and_compares_every_one"),
    Guard(16, "a key may be any text", "api/keys.py",
          'text.encode("utf-8", "surrogateescape")', 'text.encode("ascii")',
          _KEYS + "test_no_key_whatever_breaks_the_gate"),
    Guard(17, "keys have scopes", "api/keys.py",
          "        elif allowed < needed:", "        elif False:",
          _KEYS + "test_each_key_may_do_what_its_scope_says_and_no_more"),
    Guard(18, "a link only reads", "api/keys.py",
          'if scope["method"] not in ("GET", "HEAD") or len(expires)', "if len(expires)",
          _KEYS + "test_a_link_is_handed_out_to_a_reader_and_opens_only_its_film"),
    Guard(19, "a signature covers the path", "api/signing.py",
          'f"{expires}\\n{path}"', 'f"{expires}\\n"',
          _KEYS + "test_a_signature_ends_and_cannot_be_stretched_moved_or_forged"),
    Guard(20, "a link in the place of the secret is not followed", "api/signing.py",
          "os.open(path, os.O_RDONLY | os.O_NOFOLLOW)", "os.open(path, os.O_RDONLY)",
          _KEYS + "test_a_link_in_the_place_of_the_secret_is_not_followed"),
    Guard(21, "only known proxies are believed", "api/clients.py",
          "        if not is_in(peer, self._proxies):\n            return peer\n        fields",
          "        fields", _LIMITS + "test_only_a_known_proxy_is_believed_and_only_its_own_entry"),
    Guard(22, "the limiter forgets", "api/limits.py",
          "            if len(self._windows) >= self._size:", "            if False:",
          _LIMITS + "test_when_there_is_no_room_the_oldest_window_is_forgotten"),
    Guard(23, "an IPv6 client is its network", "api/clients.py",
          "return str(ipaddress.IPv6Network((address, 64), strict=False))", "return host",
          _EDGE + "test_clients_are_told_apart_ipv6_ones_by_their_network"),
    Guard(24, "each client has a count of its own", "api/limits.py",
          '(scope["path"], client_of(scope)))', '(scope["path"], "all"))',
          _EDGE + "test_clients_are_told_apart_ipv6_ones_by_their_network"),
    Guard(25, "half a head is given up", "connections.py",
          "            connection.too_slow()", "            pass",
          _CONNECTIONS + "test_half_a_head_is_given_up_in_time_and_silence_too"),
    Guard(26, "a trickle does not count as progress", "connections.py",
          "        began_in_head = self._in_head\n",
          "        began_in_head = self._in_head\n        self._doorkeeper.waits(self)\n",
          _CONNECTIONS + "test_a_head_that_trickles_is_given_up_although_it_never_stops"),
    Guard(27, "an endless field is cut off", "connections.py",
          "            if self._received > MAX_HEAD:", "            if False:",
          _CONNECTIONS + "test_a_field_without_end_is_no_larger_either"),
    Guard(27, "many fields are cut off", "connections.py",
          "        if self._parsed > MAX_HEAD:", "        if False:",
          _CONNECTIONS + "test_a_head_that_comes_at_once_is_no_larger_either"),
    Guard(28, "idle connections give way", "connections.py",
          "next((c for c in chain(self._waiting, self._owing) if fits(c)), None)", "None",
          _CONNECTIONS + "test_too_many_connections_cost_the_idle_ones_not_the_new_one"),
    Guard(29, "a body has an end", "api/bodies.py",
          "if len(body) + len(part) > self.limit:", "if False:",
          _BODIES + "test_a_body_without_end_is_cut_off"),
    Guard(30, "a body comes in time", "api/bodies.py",
          "asyncio.timeout(body.seconds)", "asyncio.timeout(None)",
          _LIMITS + "test_a_body_that_does_not_come_is_given_up_in_time"),
    Guard(31, "who does not read is given up", "connections.py",
          "self._doorkeeper.allow(self, PLAYER_SECONDS if film else READ_SECONDS)", "pass",
          _CONNECTIONS + "test_a_client_that_does_not_read_is_given_up"),
    Guard(32, "streams of a client are counted", "api/limits.py",
          "        if mine >= self._per_client or everybodys", "        if everybodys",
          _LIMITS + "test_each_client_has_a_bounded_number_of_streams_and_gets_them_back"),
    Guard(33, "a listener's queue is bounded", "bus.py",
          "        if len(self._waiting) > self._size:", "        if False:",
          "tests/unit/test_bus.py::test_one_that_does_not_keep_up_is_dropped_and_the_others_stay"),
    Guard(34, "JSON traps are refused", "api/bodies.py",
          "await self._flaw(whole) if kind == _JSON and whole else None", "None", _BODIES + "test_json_that_is_none_or_a_trap_is_refused"),
    Guard(36, "separators are no part of a name", "names.py",
          "text.translate(_FORBIDDEN).strip()", "text.strip()",
          _PUBLISH + "test_a_safe_name_is_one_harmless_component_of_at_most_200_bytes"),
    Guard(37, "names of a torrent are made safe", _TORRENT + "params.py",
          "safe_paths(layout.file_path(i) for i in indices)",
          "(layout.file_path(i) for i in indices)",
          "tests/unit/test_torrent_params.py"
          "::test_hostile_names_in_a_torrent_stay_below_its_folder"),
    Guard(38, "names of devices are changed", "names.py",
          "    if _is_reserved(text):", "    if False:",
          _PUBLISH + "test_a_safe_name_is_one_harmless_component_of_at_most_200_bytes"),
    Guard(39, "names are told apart for a case-blind disk", "names.py",
          "        while key in taken:", "        while False:",
          _PUBLISH + "test_safe_paths_are_relative_harmless_and_distinct_to_a_case_blind_disk"),
    Guard(40, "a torrent with links is refused", _TORRENT + "vetting.py",
          "        if layout.file_flags(index) & lt.file_flags_t.flag_symlink:", "        if False:",
          _HOSTILE + "test_a_magnet_to_links_is_refused_and_none_is_ever_made"),
    Guard(41, "planted links are found", "drivers/plain.py",
          "    elif not stat.S_ISREG(status.st_mode) or status.st_nlink > 1:", "    elif False:",
          _HOSTILE + "test_every_kind_of_link_and_special_file_in_unfinished_data_is_found"),
    Guard(42, "nothing is replaced", "drivers/publish.py",
          "_RENAME_NOREPLACE = 1", "_RENAME_NOREPLACE = 0",
          _PUBLISH + "test_publishing_replaces_nothing"),
    Guard(43, "nothing is deleted through a link", "drivers/publish.py",
          "        if not parent.is_relative_to(root):\n            continue",
          "        if not parent.is_relative_to(root):\n"
          "            target.unlink(missing_ok=True)\n            continue", _PUBLISH + "test_nothing_outside_of_the_media_root_is_deleted"),
    Guard(43, "no folder is swapped for a link meanwhile", "drivers/publish.py",
          "_FOLDER | os.O_NOFOLLOW, dir_fd", "_FOLDER, dir_fd",
          "tests/security/test_swaps.py"
          "::test_nothing_elsewhere_is_deleted_while_a_folder_is_swapped_for_a_link"),
    Guard(44, "no published file may be run", "drivers/plain.py",
          "    elif strip and status.st_mode & 0o111:", "    elif False:",
          _HOSTILE + "test_no_published_file_may_be_run"),
    Guard(45, "programs are left out", "drivers/programs.py",
          "    return _suffix(name) in PROGRAMS or any(", "    return False and any(",
          _HOSTILE + "test_programs_of_a_film_never_reach_the_disk_and_the_event_says_so"),
    Guard(45, "nothing is wanted before its name was seen", _TORRENT + "vetting.py",
          "        params.flags |= lt.torrent_flags.default_dont_download\n        return selection",
          "        return selection",
          _VETTING + "test_without_metadata_nothing_is_wanted_yet_and_the_wish_is_kept"),
    Guard(47, "metadata of peers is bounded", _TORRENT + "config.py",
          '    "max_metadata_size": 8 * 1024 * 1024,\n', "",
          _VETTING + "test_the_engine_has_the_same_limits_for_metadata_that_comes_later"),
    Guard(48, "trackers are few", _TORRENT + "vetting.py",
          "gate.lets_tracker(pair[0])][:MAX_TRACKERS]", "gate.lets_tracker(pair[0])]",
          _VETTING + "test_fifty_thousand_trackers_peers_and_seeds_become_a_few"),
    Guard(49, "metadata comes in time", _TORRENT + "torrent.py",
          "time.monotonic() - self._began > self.patience:", "False:",
          _HOSTILE + "test_metadata_that_never_comes_gives_the_slot_to_others_and_says_why"),
    Guard(50, "addresses at home are dropped", _TORRENT + "vetting.py",
          "        return public or self.allow_private", "        return True",
          _VETTING + "test_no_spelling_of_a_local_address_gets_through_in_any_role"),
    Guard(51, "wrapped addresses are private", "drivers/addresses.py",
          '"2001::/32", "2002::/16", ', "",
          "tests/unit/test_addresses.py::test_addresses_that_wrap_an_ipv4_address_are_private"),
    Guard(52, "the grammar of addresses is strict", _TORRENT + "vetting.py",
          "|[a-z0-9._-]+)", "|[^/]+)",
          _VETTING + "test_what_two_readers_could_read_differently_is_dropped"),
    Guard(53, "plain ws trackers are the user's own", _TORRENT + "vetting.py",
          '        return parts["scheme"].lower() != "ws" or', "        return True or",
          _VETTING + "test_a_plain_websocket_tracker_must_be_one_the_user_chose"),
    Guard(54, "names of ws trackers are resolved", _TORRENT + "vetting.py",
          'return await resolves_to_public(parts["host"].strip("[]"), _port(parts))', "return True",
          _VETTING + "test_a_websocket_tracker_whose_name_leads_home_is_dropped"),
    Guard(54, "all addresses of a name are public", "drivers/addresses.py",
          "    return all(is_public(str(entry", "    return any(is_public(str(entry",
          "tests/unit/test_addresses.py::test_a_name_is_public_only_if_all_its_addresses_are"),
    Guard(55, "our own API is no tracker", _TORRENT + "vetting.py",
          "or (port in self.own_ports and not _is_public_number(host))", "",
          _VETTING + "test_our_own_api_is_never_talked_to_whatever_is_allowed"),
    Guard(56, "resume data passes the gate, too", _TORRENT + "params.py",
          "    vetting.vet(params, request.gate)\n",
          "    if request.resume is None:\n        vetting.vet(params, request.gate)\n",
          "tests/unit/test_torrent_params.py::test_private_addresses_in_resume_data_are_dropped_too"),
    Guard(57, "films and state are apart", "settings.py",
          "        if state == media or media in state.parents or state in media.parents:",
          "        if False:",
          "tests/unit/test_settings.py::test_media_and_state_must_not_contain_each_other"),
    Guard(59, "what is shared lies in the media folder", _TORRENT + "maker.py",
          "        if not inside:", "        if False:",
          "tests/acceptance/test_seed.py::test_paths_that_lead_nowhere_or_out_are_refused"),
    Guard(60, "known secrets are hidden in every line", "redaction.py",
          "        text = text.replace(secret, HIDDEN)", "        pass",
          "tests/security/test_canaries.py::test_no_secret_is_in_anything_that_leaves"),
    Guard(62, "the state is closed to others", "storage/database.py",
          "os.O_CREAT | os.O_CLOEXEC, 0o600", "os.O_CREAT | os.O_CLOEXEC, 0o644",
          "tests/security/test_canaries.py::test_what_is_kept_is_closed_to_others"),
    Guard(63, "certificates of trackers are checked", _TORRENT + "config.py",
          '"validate_https_trackers": True', '"validate_https_trackers": False',
          _VETTING + "test_the_engine_has_the_same_limits_for_metadata_that_comes_later"),
    Guard(65, "a child gets no setting of ours", "media/sandbox.py",
          "env=_environment()", "env=None",
          "tests/integration/test_media_facts.py"
          "::test_a_child_gets_neither_our_secrets_nor_our_files"),
    Guard(68, "a proxy turns WebRTC off", "drivers/torrent/config.py",
          '"CHILLY_PROXY": self.is_forced,', "",
          _PROXY + "test_with_a_dead_proxy_no_packet_goes_anywhere_else"),
    Guard(68, "trackers are asked through the proxy", "drivers/torrent/config.py",
          '"proxy_tracker_connections": True,', '"proxy_tracker_connections": False,',
          _PROXY + "test_with_a_dead_proxy_no_packet_goes_anywhere_else"),
    Guard(68, "peers are called through the proxy", "drivers/torrent/config.py",
          '"proxy_peer_connections": True,', '"proxy_peer_connections": False,',
          _PROXY + "test_with_a_dead_proxy_no_packet_goes_anywhere_else"),
    Guard(68, "there is no DHT beside a proxy", "drivers/torrent/config.py",
          "return self.dht and self.proxy is None", "return self.dht",
          _PROXY + "test_a_film_comes_through_the_proxy_and_no_packet_goes_anywhere_else"),
    Guard(68, "the film catalogue is asked through the proxy", "app.py",
          "transport=outbound.transport() if key or token else None", "transport=None",
          _PROXY + "test_with_a_dead_proxy_no_packet_goes_anywhere_else"),
    Guard(68, "links are followed through the proxy", "drivers/torrent/traffic.py",
          "outbound=self._config.outbound, judge", "judge",
          _PROXY + "test_with_a_dead_proxy_no_packet_goes_anywhere_else"),
    Guard(69, "all stops when the interface goes", "drivers/torrent/traffic.py",
          "        self._halted = why\n", "        self._halted = why = None\n",
          _INTERFACE + "test_what_begins_while_the_interface_is_away_waits_for_it"),
    Guard(70, "calls are bound to the device of an address", "drivers/torrent/config.py",
          "interfaces.outgoing(config.interface)", "config.interface",
          _INTERFACE + "test_when_the_interface_goes_all_stops_and_when_it_is_back_all_goes_on"),
    Guard(71, "the DHT begins with what is not private", "drivers/torrent/session.py",
          "        if not private:\n            self.traffic", "        if True:\n            self.traffic",
          _PACKETS + "test_an_idle_server_is_silent_and_a_private_torrent_is_known_to_its_own_only"),
    Guard(71, "so does STUN", "drivers/torrent/session.py",
          "if not private or any(map(is_websocket, params.trackers)):", "if True:",
          _PACKETS + "test_an_idle_server_is_silent_and_a_private_torrent_is_known_to_its_own_only"),
    Guard(72, "the engine's filter has the user's lists", "drivers/torrent/filters.py",
          "made.add_rule(first, last, int(shut))", "pass",
          _LISTED + "test_a_block_list_holds_for_every_role_and_is_read_again_when_it_changes"),
    Guard(72, "links are compared with the lists", "drivers/torrent/traffic.py",
          "judge=self.lets\n", "judge=None\n",
          _LISTED + "test_a_block_list_holds_for_every_role_and_is_read_again_when_it_changes"),
    Guard(72, "a list turns WebRTC off", "drivers/torrent/config.py",
          '"CHILLY_BLOCK_LIST or CHILLY_ALLOW_LIST": self.has_lists,', "",
          _LISTED + "test_sighup_reads_the_lists_again_and_webrtc_is_said_to_be_off"),
    Guard(73, "peer ids tell nothing in anonymous mode", "drivers/torrent/config.py",
          'pack["peer_fingerprint"] = ""', "pass",
          "tests/integration/test_anonymous.py::"
          "test_in_anonymous_mode_nobody_is_told_which_program_we_are"),
)  # fmt: skip


def source(guard: Guard, folder: Path = ROOT / "src") -> Path:
    """The file the guard is in."""
    return folder / "chilly_movies" / guard.module


def take_away(guard: Guard, folder: Path) -> None:
    """Replace the guard's lines in a copy of the sources."""
    path = source(guard, folder)
    text = path.read_text()
    if text.count(guard.right) != 1:
        sys.exit(f"'{guard.what}': its lines are not in {guard.module} once; mend this list")
    path.write_text(text.replace(guard.right, guard.wrong))


def is_noticed(guard: Guard, folder: Path) -> tuple[bool, str]:
    """Take it away in a copy; whether its test fails, and how."""
    copy = folder / "src"
    shutil.copytree(ROOT / "src", copy, ignore=shutil.ignore_patterns("__pycache__"))
    take_away(guard, copy)
    compile(source(guard, copy).read_text(), guard.module, "exec")
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider",
               "-p", "no:xdist", "--timeout", "30", f"--basetemp={folder / 'tests'}",
               guard.test]  # fmt: skip
    environment = {**os.environ, "PYTHONPATH": str(copy), "PYTHONDONTWRITEBYTECODE": "1"}
    try:
        run = subprocess.run(
            command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=_WITHIN,
            check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return True, f"hangs for {_WITHIN:.0f} s"
    said = re.findall(r"(?m)^E\s+(.*)", run.stdout) or run.stdout.strip().splitlines()[-1:]
    failed = run.returncode == 1 and re.search(r"\b[1-9]\d* (failed|error)", run.stdout)
    return bool(failed), (said[0].strip() if said else run.stderr.strip()[-90:])[:90]


def main() -> int:
    """The command line: all guards, or those whose description or door is given."""
    wanted = [g for g in GUARDS if not sys.argv[1:] or str(g.door) in sys.argv[1:]
              or all(word in g.what for word in sys.argv[1:])]  # fmt: skip
    missed = 0
    for guard in wanted:
        began = time.monotonic()
        with tempfile.TemporaryDirectory(prefix="chilly-guard-") as folder:
            noticed, how = is_noticed(guard, Path(folder))
        missed += not noticed
        word = "noticed" if noticed else "NOT NOTICED"
        spent = time.monotonic() - began
        sys.stdout.write(f"{guard.door:2}  {word:11}  {spent:3.0f} s  {guard.what}: {how}\n")
        sys.stdout.flush()
    sys.stdout.write(f"{len(wanted) - missed} of {len(wanted)} noticed\n")
    return min(1, missed)


if __name__ == "__main__":
    sys.exit(main())
