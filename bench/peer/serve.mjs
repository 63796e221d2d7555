// Serves one peer to the benchmark over JSON lines, so that rounds can
// interleave: a request names an operation and how often to do it, the reply
// says what that took this process.
//
//   in   {"op": "reencrypt", "n": 100, "t": 3, "members": 4}
//   out  {"work": 100, "cpu": 0.031, "wall": 0.030, "size": 381}
//        {"error": "..."}
//
// Usage: node serve.mjs DIRECTORY PACKAGE, with node_modules in DIRECTORY. The
// first line out is {"version": "..."}. It ends with its input.
import { createRequire, register } from 'node:module';
import { createInterface } from 'node:readline';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';

const [dir, name] = process.argv.slice(2);
const resolve = createRequire(join(dir, 'x.js')).resolve;
// recrypt's module names its parts without ".js", as bundlers allow.
register('data:text/javascript,' + encodeURIComponent(`
export async function resolve(name, context, next) {
	try { return await next(name, context); }
	catch (err) { if (name.startsWith('.')) return next(name + '.js', context); throw err; }
}`));

const size = (v) => v instanceof Uint8Array ? v.length
	: v !== null && typeof v === 'object' ? Object.values(v).reduce((sum, x) => sum + size(x), 0) : 0;

// An operation is made for its parameters and then called repeatedly; what it
// returns is an object with the encoded size of its result.
async function umbral() {
	const module = await import(pathToFileURL(resolve(name)));
	const u = module.default ?? module;
	const key = new Uint8Array(32).fill(7);
	const owner = u.SecretKey.random(), reader = u.SecretKey.random();
	const ownerKey = owner.publicKey(), readerKey = reader.publicKey();
	const signer = new u.Signer(u.SecretKey.random()), verifying = signer.verifyingKey();
	const [capsule, ciphertext] = u.encrypt(ownerKey, key);
	const capsuleBytes = capsule.toBytes();
	const grant = (t, members) => u.generateKFrags(owner, readerKey, signer, t, members, true, true);
	const answers = (t, members) => grant(t, members).slice(0, t).map((k) => u.reencrypt(capsule, k).toBytes());
	const free = (list) => list.forEach((x) => x.free());
	const check = (b) => { if (b.length !== 32 || b[0] !== 7) throw new Error('opened to something else'); };
	const open = (verify) => ({ t, members }) => {
		const bytes = answers(t, members);
		return () => {
			const parsed = bytes.map((b) => u.CapsuleFrag.fromBytes(b));
			const frags = parsed.map((f) => verify ? f.verify(capsule, verifying, ownerKey, readerKey) : f.skipVerification());
			check(u.decryptReencrypted(reader, ownerKey, capsule, frags, ciphertext));
			free(frags);
		};
	};
	return {
		keygen: () => () => { const k = u.SecretKey.random(); const p = k.publicKey(); const b = p.toCompressedBytes(); p.free(); k.free(); return { size: b.length }; },
		encrypt: () => () => { const [c, x] = u.encrypt(ownerKey, key); const b = c.toBytes(); c.free(); return { size: b.length + x.length }; },
		grant: ({ t, members }) => () => { const k = grant(t, members); const total = k.reduce((s, f) => s + f.toBytes().length, 0); free(k); return { size: total }; },
		accept: ({ t, members }) => { const b = grant(t, members)[0].toBytes(); return () => { u.KeyFrag.fromBytes(b).verify(verifying, ownerKey, readerKey).free(); return { size: b.length }; }; },
		reencrypt: ({ t, members }) => {
			const frag = grant(t, members)[0];
			return () => { const c = u.Capsule.fromBytes(capsuleBytes); const f = u.reencrypt(c, frag); const b = f.toBytes(); f.free(); c.free(); return { size: b.length }; };
		},
		verify: ({ t, members }) => { const b = answers(t, members)[0]; return () => { u.CapsuleFrag.fromBytes(b).verify(capsule, verifying, ownerKey, readerKey).free(); }; },
		open: open(false),
		'open-verified': open(true),
		'open-own': () => () => check(u.decryptOriginal(owner, capsule, ciphertext)),
	};
}

async function recrypt() {
	const { Api256 } = await import(pathToFileURL(resolve(name)));
	const api = new Api256();
	const owner = api.generateKeyPair(), reader = api.generateKeyPair(), signing = api.generateEd25519KeyPair().privateKey;
	const plaintext = api.generatePlaintext();
	const sealed = api.encrypt(plaintext, owner.publicKey, signing);
	const rekey = api.generateTransformKey(owner.privateKey, reader.publicKey, signing);
	const transformed = api.transform(sealed, rekey, signing);
	const check = (b) => { if (Buffer.compare(b, plaintext) !== 0) throw new Error('opened to something else'); };
	return {
		keygen: () => () => ({ size: size(api.generateKeyPair().publicKey) }),
		encrypt: () => () => ({ size: size(api.encrypt(api.generatePlaintext(), owner.publicKey, signing)) }),
		grant: () => () => ({ size: size(api.generateTransformKey(owner.privateKey, reader.publicKey, signing)) }),
		reencrypt: () => () => ({ size: size(api.transform(sealed, rekey, signing)) }),
		open: () => () => check(api.decrypt(transformed, reader.privateKey)),
		'open-own': () => () => check(api.decrypt(sealed, owner.privateKey)),
	};
}

const write = (v) => process.stdout.write(JSON.stringify(v) + '\n');
try {
	const make = { '@nucypher/umbral-pre': umbral, '@ironcorelabs/recrypt-wasm-binding': recrypt }[name];
	if (!make) throw new Error('no driver for ' + name);
	const version = JSON.parse(readFileSync(join(dir, 'node_modules', name, 'package.json'))).version;
	const operations = await make();
	const ready = new Map(); // operations made, by name and parameters
	write({ version });
	for await (const line of createInterface({ input: process.stdin })) {
		try {
			const { op, n, ...parameters } = JSON.parse(line);
			const id = op + JSON.stringify(parameters);
			if (!ready.has(id)) {
				if (!Object.hasOwn(operations, op)) throw new Error('no operation ' + op);
				ready.set(id, operations[op](parameters));
			}
			const f = ready.get(id);
			let result;
			const cpu = process.cpuUsage(), wall = process.hrtime.bigint();
			for (let i = 0; i < n; i++) result = f();
			const passed = Number(process.hrtime.bigint() - wall) / 1e9, used = process.cpuUsage(cpu);
			write({ work: n, cpu: (used.user + used.system) / 1e6, wall: passed, size: result?.size ?? 0 });
		} catch (err) {
			write({ error: String(err) });
		}
	}
} catch (err) {
	write({ error: String(err) });
}
