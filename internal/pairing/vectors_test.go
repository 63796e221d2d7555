package pairing

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"strings"
	"testing"
)

// Figures that others published.

// rfc9380G1 is appendix J.9.1 of RFC 9380, BLS12381G1_XMD:SHA-256_SSWU_RO_: a
// message, then x and y of the point.
var rfc9380G1 = [][]string{
	{
		"",
		"052926add2207b76ca4fa57a8734416c8dc95e24501772c814278700eed6d1e4e8cf62d9c09db0fac349612b759e79a1",
		"08ba738453bfed09cb546dbb0783dbb3a5f1f566ed67bb6be0e8c67e2e81a4cc68ee29813bb7994998f3eae0c9c6a265",
	},
	{
		"abc",
		"03567bc5ef9c690c2ab2ecdf6a96ef1c139cc0b2f284dca0a9a7943388a49a3aee664ba5379a7655d3c68900be2f6903",
		"0b9c15f3fe6e5cf4211f346271d7b01c8f3b28be689c8429c85b67af215533311f0b8dfaaa154fa6b88176c229f2885d",
	},
	{
		"abcdef0123456789",
		"11e0b079dea29a68f0383ee94fed1b940995272407e3bb916bbf268c263ddd57a6a27200a784cbc248e84f357ce82d98",
		"03a87ae2caf14e8ee52e51fa2ed8eefe80f02457004ba4d486d6aa1f517c0889501dc7413753f9599b099ebcbbd2d709",
	},
	{
		"q128_" + strings.Repeat("q", 128),
		"15f68eaa693b95ccb85215dc65fa81038d69629f70aeee0d0f677cf22285e7bf58d7cb86eefe8f2e9bc3f8cb84fac488",
		"1807a1d50c29f430b8cafc4f8638dfeeadf51211e1602a5f184443076715f91bb90a48ba1e370edce6ae1062f5e6dd38",
	},
	{
		"a512_" + strings.Repeat("a", 512),
		"082aabae8b7dedb0e78aeb619ad3bfd9277a2f77ba7fad20ef6aabdc6c31d19ba5a6d12283553294c1825c4b3ca2dcfe",
		"05b84ae5a942248eea39e1d91030458c40153f3b654ab7872d779ad1e942856a20c438e8d99bc8abfbf74729ce1f7ac8",
	},
}

// rfc9380G2 is appendix J.10.1 of RFC 9380, BLS12381G2_XMD:SHA-256_SSWU_RO_: a
// message, then the two coordinates each of x and y, the constant one first.
var rfc9380G2 = [][]string{
	{
		"",
		"0141ebfbdca40eb85b87142e130ab689c673cf60f1a3e98d69335266f30d9b8d4ac44c1038e9dcdd5393faf5c41fb78a",
		"05cb8437535e20ecffaef7752baddf98034139c38452458baeefab379ba13dff5bf5dd71b72418717047f5b0f37da03d",
		"0503921d7f6a12805e72940b963c0cf3471c7b2a524950ca195d11062ee75ec076daf2d4bc358c4b190c0c98064fdd92",
		"12424ac32561493f3fe3c260708a12b7c620e7be00099a974e259ddc7d1f6395c3c811cdd19f1e8dbf3e9ecfdcbab8d6",
	},
	{
		"abc",
		"02c2d18e033b960562aae3cab37a27ce00d80ccd5ba4b7fe0e7a210245129dbec7780ccc7954725f4168aff2787776e6",
		"139cddbccdc5e91b9623efd38c49f81a6f83f175e80b06fc374de9eb4b41dfe4ca3a230ed250fbe3a2acf73a41177fd8",
		"1787327b68159716a37440985269cf584bcb1e621d3a7202be6ea05c4cfe244aeb197642555a0645fb87bf7466b2ba48",
		"00aa65dae3c8d732d10ecd2c50f8a1baf3001578f71c694e03866e9f3d49ac1e1ce70dd94a733534f106d4cec0eddd16",
	},
	{
		"abcdef0123456789",
		"121982811d2491fde9ba7ed31ef9ca474f0e1501297f68c298e9f4c0028add35aea8bb83d53c08cfc007c1e005723cd0",
		"190d119345b94fbd15497bcba94ecf7db2cbfd1e1fe7da034d26cbba169fb3968288b3fafb265f9ebd380512a71c3f2c",
		"05571a0f8d3c08d094576981f4a3b8eda0a8e771fcdcc8ecceaf1356a6acf17574518acb506e435b639353c2e14827c8",
		"0bb5e7572275c567462d91807de765611490205a941a5a6af3b1691bfe596c31225d3aabdf15faff860cb4ef17c7c3be",
	},
	{
		"q128_" + strings.Repeat("q", 128),
		"19a84dd7248a1066f737cc34502ee5555bd3c19f2ecdb3c7d9e24dc65d4e25e50d83f0f77105e955d78f4762d33c17da",
		"0934aba516a52d8ae479939a91998299c76d39cc0c035cd18813bec433f587e2d7a4fef038260eef0cef4d02aae3eb91",
		"14f81cd421617428bc3b9fe25afbb751d934a00493524bc4e065635b0555084dd54679df1536101b2c979c0152d09192",
		"09bcccfa036b4847c9950780733633f13619994394c23ff0b32fa6b795844f4a0673e20282d07bc69641cee04f5e5662",
	},
	{
		"a512_" + strings.Repeat("a", 512),
		"01a6ba2f9a11fa5598b2d8ace0fbe0a0eacb65deceb476fbbcb64fd24557c2f4b18ecfc5663e54ae16a84f5ab7f62534",
		"11fca2ff525572795a801eed17eb12785887c7b63fb77a42be46ce4a34131d71f7a73e95fee3f812aea3de78b4d01569",
		"0b6798718c8aed24bc19cb27f866f1c9effcdbf92397ad6448b5c9db90d2b9da6cbabf48adc1adf59a1a28344e79d57e",
		"03a47f8e6d1763ba0cad63d6114c0accbef65707825a511b251a660a9b3994249ae4e63fac38b23da0c398689ee2ab52",
	},
}

// multiplesG1 are 0·g1 to 4·g1 from the test vectors of the crate pairing of
// ZCash, where the compressed encoding was first written down.
var multiplesG1 = []string{
	"c00000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000",
	"97f1d3a73197d7942695638c4fa9ac0fc3688c4f9774b905a14e3a3f171bac586c55e83ff97a1aeffb3af00adb22c6bb",
	"a572cbea904d67468808c8eb50a9450c9721db309128012543902d0ac358a62ae28f75bb8f1c7c42c39a8c5529bf0f4e",
	"89ece308f9d1f0131765212deca99697b112d61f9be9a5f1f3780a51335b3ff981747a0b2ca2179b96d2c0c9024e5224",
	"ac9b60d5afcbd5663a8a44b7c5a02f19e9a77ab0a35bd65809bb5c67ec582c897feb04decc694b13e08587f3ff9b5b60",
}

var multiplesG2 = []string{
	"c00000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000",
	"93e02b6052719f607dacd3a088274f65596bd0d09920b61ab5da61bbdc7f5049334cf11213945d57e5ac7d055d042b7e024aa2b2f08f0a91260805272dc51051c6e47ad4fa403b02b4510b647ae3d1770bac0326a805bbefd48056c8c121bdb8",
	"aa4edef9c1ed7f729f520e47730a124fd70662a904ba1074728114d1031e1572c6c886f6b57ec72a6178288c47c335771638533957d540a9d2370f17cc7ed5863bc0b995b8825e0ee1ea1e1e4d00dbae81f14b0bf3611b78c952aacab827a053",
	"89380275bbc8e5dcea7dc4dd7e0550ff2ac480905396eda55062650f8d251c96eb480673937cc6d9d6a44aaa56ca66dc122915c824a0857e2ee414a3dccb23ae691ae54329781315a0c75df1c04d6d7a50a030fc866f09d516020ef82324afae",
	"870227d3f13684fdb7ce31b8065ba3acb35f7bde6fe2ddfefa359f8b35d08a9ab9537b43e24f4ffb720b5a0bda2a82f20e7a30979a8853a077454eb63b8dcee75f106221b262886bb8e01b0abb043368da82f60899cc1412e33e4120195fc557",
}

// SHA-256 of the two files those are from: i·g1 and i·g2 for i from 0 to 999.
const (
	thousandG1 = "8acaa1d512b4cf96f4740e4c9afc19ba4618d48fe251c452a19382395bcd0929"
	thousandG2 = "b75bc2e41289adda41e448e56a1ea39b11009a27b02e8676c8b86defedc05deb"
)

// relicPairing is e(g1, g2) as RELIC computes it, from the tests of the same
// crate; the lowest coefficient comes first.
var relicPairing = []string{
	"1250ebd871fc0a92a7b2d83168d0d727272d441befa15c503dd8e90ce98db3e7b6d194f60839c508a84305aaca1789b6",
	"089a1c5b46e5110b86750ec6a532348868a84045483c92b7af5af689452eafabf1a8943e50439f1d59882a98eaa0170f",
	"1368bb445c7c2d209703f239689ce34c0378a68e72a6b3b216da0e22a5031b54ddff57309396b38c881c4c849ec23e87",
	"193502b86edb8857c273fa075a50512937e0794e1e65a7617c90d8bd66065b1fffe51d7a579973b1315021ec3c19934f",
	"01b2f522473d171391125ba84dc4007cfbf2f8da752f7c74185203fcca589ac719c34dffbbaad8431dad1c1fb597aaa5",
	"018107154f25a764bd3c79937a45b84546da634b8f6be14a8061e55cceba478b23f7dacaa35c8ca78beae9624045b4b6",
	"19f26337d205fb469cd6bd15c3d5a04dc88784fbb3d0b2dbdea54d43b2b73f2cbb12d58386a8703e0f948226e47ee89d",
	"06fba23eb7c5af0d9f80940ca771b6ffd5857baaf222eb95a7d2809d61bfe02e1bfd1b68ff02f0b8102ae1c2d5d5ab1a",
	"11b8b424cd48bf38fcef68083b0b0ec5c81a93b330ee1a677d0d15ff7b984e8978ef48881e32fac91b93b47333e2ba57",
	"03350f55a7aefcd3c31b4fcb6ce5771cc6a0e9786ab5973320c806ad360829107ba810c5a09ffdd9be2291a0c25a99a2",
	"04c581234d086a9902249b64728ffd21a189e87935a954051c7cdba7b3872629a4fafc05066245cb9108f0242d0fe3ef",
	"0f41e58663bf08cf068672cbd01a7ec73baca4d72ca93544deff686bfd6df543d48eaa24afe47e1efde449383b676631",
}

// atePairing is e(g1, g2) of draft-irtf-cfrg-pairing-friendly-curves, appendix
// B: the optimal Ate pairing proper. RELIC, gnark-crypto and CIRCL leave a
// factor 3 in the exponent and compute its cube.
var atePairing = []string{
	"11619b45f61edfe3b47a15fac19442526ff489dcda25e59121d9931438907dfd448299a87dde3a649bdba96e84d54558",
	"153ce14a76a53e205ba8f275ef1137c56a566f638b52d34ba3bf3bf22f277d70f76316218c0dfd583a394b8448d2be7f",
	"095668fb4a02fe930ed44767834c915b283b1c6ca98c047bd4c272e9ac3f3ba6ff0b05a93e59c71fba77bce995f04692",
	"16deedaa683124fe7260085184d88f7d036b86f53bb5b7f1fc5e248814782065413e7d958d17960109ea006b2afdeb5f",
	"09c92cf02f3cd3d2f9d34bc44eee0dd50314ed44ca5d30ce6a9ec0539be7a86b121edc61839ccc908c4bdde256cd6048",
	"111061f398efc2a97ff825b04d21089e24fd8b93a47e41e60eae7e9b2a38d54fa4dedced0811c34ce528781ab9e929c7",
	"01ecfcf31c86257ab00b4709c33f1c9c4e007659dd5ffc4a735192167ce197058cfb4c94225e7f1b6c26ad9ba68f63bc",
	"08890726743a1f94a8193a166800b7787744a8ad8e2f9365db76863e894b7a11d83f90d873567e9d645ccf725b32d26f",
	"0e61c752414ca5dfd258e9606bac08daec29b3e2c57062669556954fb227d3f1260eedf25446a086b0844bcd43646c10",
	"0fe63f185f56dd29150fc498bbeea78969e7e783043620db33f75a05a0a2ce5c442beaff9da195ff15164c00ab66bdde",
	"10900338a92ed0b47af211636f7cfdec717b7ee43900eee9b5fc24f0000c5874d4801372db478987691c566a8c474978",
	"1454814f3085f0e6602247671bc408bbce2007201536818c901dbd4d2095dd86c1ec8b888e59611f60a301af7776be3d",
}

func unhex(t testing.TB, s ...string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.Join(s, ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestHashToG1IsThatOfRFC9380(t *testing.T) {
	for _, v := range rfc9380G1 {
		g := HashToG1("QUUX-V01-CS02-with-BLS12381G1_XMD:SHA-256_SSWU_RO_", []byte(v[0]))
		if raw := g.p.RawBytes(); !bytes.Equal(raw[:], unhex(t, v[1], v[2])) {
			t.Errorf("%.20q: got %x", v[0], raw)
		}
	}
}

func TestHashToG2IsThatOfRFC9380(t *testing.T) {
	for _, v := range rfc9380G2 {
		g := HashToG2("QUUX-V01-CS02-with-BLS12381G2_XMD:SHA-256_SSWU_RO_", []byte(v[0]))
		if raw := g.p.RawBytes(); !bytes.Equal(raw[:], unhex(t, v[2], v[1], v[4], v[3])) {
			t.Errorf("%.20q: got %x", v[0], raw)
		}
	}
}

func TestEncodingsAreThoseOfZCash(t *testing.T) {
	var sum1 G1
	var sum2 G2
	d1, d2 := sha256.New(), sha256.New()
	for i := range 1000 {
		b1, b2 := sum1.Bytes(), sum2.Bytes()
		d1.Write(b1[:])
		d2.Write(b2[:])
		if i < len(multiplesG1) {
			want1, want2 := unhex(t, multiplesG1[i]), unhex(t, multiplesG2[i])
			if !bytes.Equal(b1[:], want1) || !bytes.Equal(b2[:], want2) {
				t.Errorf("%d times the generators: got %x and %x", i, b1, b2)
			}
			g1, err1 := ParseG1(want1)
			g2, err2 := ParseG2(want2)
			if i == 0 {
				if !errors.Is(err1, ErrIdentity) || !errors.Is(err2, ErrIdentity) {
					t.Errorf("the identity parses: %v, %v", err1, err2)
				}
			} else if err1 != nil || err2 != nil || !g1.Equal(sum1) || !g2.Equal(sum2) {
				t.Errorf("%d times the generators do not parse: %v, %v", i, err1, err2)
			}
		}
		sum1, sum2 = sum1.Add(GeneratorG1()), sum2.Add(GeneratorG2())
	}
	if got := hex.EncodeToString(d1.Sum(nil)); got != thousandG1 {
		t.Errorf("1,000 multiples of g1 hash to %s", got)
	}
	if got := hex.EncodeToString(d2.Sum(nil)); got != thousandG2 {
		t.Errorf("1,000 multiples of g2 hash to %s", got)
	}
}

func TestPairingIsThePublishedOne(t *testing.T) {
	for name, e := range map[string]GT{
		"variable time": Pair(GeneratorG1(), GeneratorG2()), "constant time": ConstantTimePair(GeneratorG1(), GeneratorG2()),
		"prepared": GeneratorG2().Prepare().Pair(GeneratorG1()),
	} {
		checkPairing(t, name, e, relicPairing)
		checkPairing(t, name+", cube root", e.Exp(NewScalar(3).Inverse()), atePairing)
	}
}

// checkPairing compares with coordinates that stand lowest first.
func checkPairing(t *testing.T, name string, e GT, want []string) {
	t.Helper()
	b := e.Bytes()
	for i, w := range want {
		at := GTSize - 48*(i+1)
		if !bytes.Equal(b[at:at+48], unhex(t, w)) {
			t.Errorf("%s: coordinate %d is %x", name, i, b[at:at+48])
		}
	}
}
