#!/usr/bin/env python3
"""The program as a server, by plain HTTP requests.

usage: serve_test.py PROGRAM [unittest options]
"""
import http.client
import json
import math
import pathlib
import re
import signal
import subprocess
import sys
import threading
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
MODEL = ROOT / "assets/tiny-lm"
PROGRAM = None  # set at the end
TEXT = "The quick brown fox"


class Server:
    """`laconic serve` on a free port."""

    def __init__(self):
        self.process = subprocess.Popen([PROGRAM, "serve", str(MODEL), "--port", "0"], stdout=subprocess.PIPE, text=True)
        self.port = int(re.search(r":(\d+);", self.process.stdout.readline())[1])

    def request(self, method, path, body=None):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=120)
        data = body if isinstance(body, (bytes, type(None))) else json.dumps(body).encode()
        connection.request(method, path, data, {"Content-Type": "application/json"})
        reply = connection.getresponse()
        text = reply.read().decode()
        connection.close()
        return reply.status, json.loads(text) if "json" in reply.headers.get("Content-Type", "") else text

    def complete(self, **body):
        status, reply = self.request("POST", "/v1/completions", body)
        assert status == 200, reply
        return reply

    def end(self):
        self.process.send_signal(signal.SIGINT)
        return self.process.wait(timeout=30)


class Serve(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = Server()

    @classmethod
    def tearDownClass(cls):
        code = cls.server.end()
        cls.server.process.stdout.close()
        assert code == 0, f"Ctrl-C: exit code {code}"

    def test_says_what_it_is(self):
        self.assertEqual(self.server.request("GET", "/health"), (200, {"status": "ok"}))
        status, models = self.server.request("GET", "/v1/models")
        self.assertEqual((status, models["data"][0]["id"]), (200, "tiny-lm"))
        status, reply = self.server.request("GET", "/nothing")
        self.assertEqual(status, 404)
        self.assertIn("unknown path", reply["error"]["message"])

    def test_counts_what_it_did(self):
        def counter(name):
            return float(re.search(rf"^laconic_{name} (\S+)$", self.server.request("GET", "/metrics")[1], re.MULTILINE)[1])
        before = counter("completion_tokens_total"), counter("requests_total")
        self.server.complete(prompt=TEXT, max_tokens=3, temperature=0, stop=None)
        self.assertEqual((counter("completion_tokens_total"), counter("requests_total")), (before[0] + 3, before[1] + 1))

    def test_a_text_is_continued_and_stops(self):
        reply = self.server.complete(prompt=TEXT, max_tokens=12, temperature=0)
        text = reply["choices"][0]["text"]
        self.assertEqual(reply["usage"]["completion_tokens"], 12)
        self.assertEqual(reply["choices"][0]["finish_reason"], "length")
        self.assertEqual(self.server.complete(prompt=TEXT, max_tokens=12, temperature=0)["choices"][0]["text"], text)
        stop = text[4:7]
        choice = self.server.complete(prompt=TEXT, max_tokens=12, temperature=0, stop=[stop])["choices"][0]
        self.assertEqual((choice["text"], choice["finish_reason"]), (text[:text.index(stop)], "stop"))
        echo = self.server.complete(prompt=TEXT, max_tokens=12, temperature=0, echo=True)["choices"][0]["text"]
        self.assertTrue(echo.endswith(TEXT + text))

    def test_drawn_text_follows_its_seed(self):
        draw = lambda seed: self.server.complete(prompt=TEXT, max_tokens=20, temperature=1.5, seed=seed)["choices"][0]["text"]
        self.assertEqual(draw(1), draw(1))
        self.assertNotEqual(draw(1), draw(2))

    def test_logarithms_are_those_of_the_whole_text(self):
        ids = [5, 9, 200, 31, 7, 12, 40]
        whole = self.server.complete(prompt=ids, max_tokens=1, logprobs=2, echo=True, temperature=0)["choices"][0]["logprobs"]
        self.assertEqual({len(whole[key]) for key in whole}, {len(ids) + 1})
        self.assertIsNone(whole["token_logprobs"][0])
        self.assertEqual(whole["text_offset"][0], 0)
        self.assertEqual(sorted(whole["text_offset"]), whole["text_offset"])
        for own, top in zip(whole["token_logprobs"][1:], whole["top_logprobs"][1:]):
            self.assertLessEqual(own, max(top.values()))
            self.assertIn(len(top), (2, 3))
        self.assertEqual(whole["token_logprobs"][-1], max(whole["top_logprobs"][-1].values()), "greedy")
        for end in range(2, len(ids)):
            part = self.server.complete(prompt=ids[:end], max_tokens=0, logprobs=1, echo=True)["choices"][0]["logprobs"]
            self.assertEqual(len(part["tokens"]), end)
            self.assertAlmostEqual(part["token_logprobs"][-1], whole["token_logprobs"][end - 1], delta=1e-4)
        made = self.server.complete(prompt=ids, max_tokens=1, logprobs=0, temperature=0)["choices"][0]["logprobs"]
        self.assertIsNone(made["top_logprobs"])
        self.assertAlmostEqual(made["token_logprobs"][0], whole["token_logprobs"][-1], delta=1e-5)

    def test_prompts_of_a_list_do_not_touch(self):
        alone = [self.server.complete(prompt=ids, max_tokens=4, logprobs=1, temperature=0)["choices"][0]
                 for ids in ([5, 9, 200], [31], [7, 12])]
        together = self.server.complete(prompt=[[5, 9, 200], [31], [7, 12]], max_tokens=4, logprobs=1, temperature=0)["choices"]
        self.assertEqual([choice["index"] for choice in together], [0, 1, 2])
        self.assertEqual([choice["text"] for choice in together], [choice["text"] for choice in alone])
        self.assertEqual(len(self.server.complete(prompt=["a", "b"], max_tokens=1)["choices"]), 2)

    def test_wrong_requests_are_refused_by_field(self):
        cases = [({}, "prompt"), ({"prompt": ""}, "at least one token"), ({"prompt": []}, "prompt"), ({"prompt": [1e9]}, "ids from 0"),
                 ({"prompt": [-1]}, "ids from 0"), ({"prompt": [[[1]]]}, "ids from 0"), ({"prompt": {"a": 1}}, "prompt"),
                 ({"prompt": [[1]] * 300}, "at most 256"), ({"prompt": [1], "n": 2}, "n: expected 1"),
                 ({"prompt": [1], "stream": True}, "stream"), ({"prompt": [1], "max_tokens": -1}, "max_tokens"),
                 ({"prompt": [1], "max_tokens": 10**18}, "max_tokens"), ({"prompt": [1], "temperature": -1}, "temperature"),
                 ({"prompt": [1], "temperature": "hot"}, "temperature"), ({"prompt": [1], "top_p": 2}, "top_p"),
                 ({"prompt": [1], "logprobs": 1000}, "logprobs"), ({"prompt": [1], "stop": [1]}, "stop"),
                 ({"prompt": [1], "stop": ["a"] * 17}, "stop"), ({"prompt": [1], "echo": 1}, "echo"),
                 ({"prompt": [1], "temprature": 1}, 'did you mean "temperature"'), ({"prompt": [1] * 600, "max_tokens": 1}, "positions")]
        for body, words in cases:
            with self.subTest(str(body)[:60]):
                status, reply = self.server.request("POST", "/v1/completions", body)
                self.assertEqual(status, 400, reply)
                self.assertIn(words, reply["error"]["message"])
        for raw in (b"", b"{", b"[]", b"\xff\xfe", b'{"prompt": ' + b"[" * 100000, b'{"prompt": [NaN]}'):
            status, reply = self.server.request("POST", "/v1/completions", raw)
            self.assertEqual(status, 400, raw[:20])
            self.assertTrue(reply["error"]["message"])
        status, reply = self.server.request("POST", "/v1/completions", b'{"prompt": "' + b"a" * (5 << 20) + b'"}')
        self.assertEqual(status, 413)
        self.assertEqual(self.server.request("GET", "/health")[0], 200, "it goes on")

    def test_several_at_once_are_all_answered(self):
        replies = []
        ask = lambda i: replies.append(self.server.complete(prompt=[i + 3, 9], max_tokens=5, temperature=0, logprobs=1))
        threads = [threading.Thread(target=ask, args=(i,)) for i in range(12)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(len(replies), 12)
        self.assertTrue(all(math.isfinite(x) for r in replies for x in r["choices"][0]["logprobs"]["token_logprobs"]))


class ServeFault(unittest.TestCase):
    def test_a_port_that_is_taken_is_named(self):
        server = Server()
        self.addCleanup(server.process.stdout.close)
        self.addCleanup(server.end)
        done = subprocess.run([PROGRAM, "serve", str(MODEL), "--port", str(server.port)], capture_output=True, text=True, timeout=60)
        self.assertEqual(done.returncode, 2)
        self.assertIn("Is the port taken?", done.stderr)


if __name__ == "__main__":
    PROGRAM = sys.argv.pop(1)
    unittest.main()
