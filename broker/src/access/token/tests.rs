//! Tokens: what others have signed, what we sign here, and each way in which one can be wrong.

use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair};
use serde_json::json;

use super::*;

const NOW: WallTime = WallTime(1_800_000_000_000);
const LEEWAY: Duration = Duration::from_secs(30);

/// Tokens and keys of another implementation.
fn foreign() -> Value {
    serde_json::from_str(include_str!("foreign.json")).unwrap()
}

fn verifier(jwks: &Value) -> TokenVerifier {
    TokenVerifier {
        keys: KeySet::parse(&jwks.to_string()).unwrap(),
        issuer: Some("https://issuer.example".to_owned()),
        audience: Some("mqtt".to_owned()),
        leeway: LEEWAY,
        username_claim: Some("sub".to_owned()),
        client_id_claim: Some("client".to_owned()),
    }
}

/// Signs tokens with one Ed25519 key.
struct Issuer(Ed25519KeyPair);

impl Issuer {
    fn new() -> Self {
        let pkcs8 = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).unwrap();
        Self(Ed25519KeyPair::from_pkcs8(pkcs8.as_ref()).unwrap())
    }

    fn jwk(&self, id: &str) -> Value {
        json!({"kty": "OKP", "crv": "Ed25519", "kid": id, "x": URL_SAFE_NO_PAD.encode(self.0.public_key())})
    }

    fn verifier(&self) -> TokenVerifier {
        verifier(&json!({"keys": [self.jwk("ed")]}))
    }

    fn sign(&self, header: &Value, payload: &str) -> String {
        let encode = |text: &str| URL_SAFE_NO_PAD.encode(text);
        let message = format!("{}.{}", encode(&header.to_string()), encode(payload));
        let signature = URL_SAFE_NO_PAD.encode(self.0.sign(message.as_bytes()));
        format!("{message}.{signature}")
    }

    /// What a token with these claims leads to, on top of claims that are in order. `null` takes one away.
    fn outcome(&self, changes: &Value) -> Result<TokenProof, TokenFault> {
        let mut claims = claims();
        for (claim, value) in changes.as_object().unwrap() {
            if value.is_null() {
                claims.remove(claim);
            } else {
                claims.insert(claim.clone(), value.clone());
            }
        }
        let token = self.sign(&json!({"alg": "EdDSA"}), &Value::Object(claims).to_string());
        self.verifier().verify(NOW, token.as_bytes(), Some("meter-7"))
    }
}

fn claims() -> Map<String, Value> {
    let claims = json!({
        "iss": "https://issuer.example", "aud": "mqtt", "sub": "jane", "client": "meter-7", "exp": 1_800_000_060,
    });
    claims.as_object().unwrap().clone()
}

#[test]
fn tokens_that_others_signed_are_accepted_for_each_algorithm() {
    let foreign = foreign();
    let verifier = verifier(&foreign["jwks"]);
    for algorithm in Algorithm::ALL {
        let token = foreign["tokens"][algorithm.name()].as_str().unwrap();
        let proof = verifier.verify(NOW, token.as_bytes(), Some("meter-7")).unwrap();
        assert_eq!(proof.username.as_deref(), Some("jane"));
        assert_eq!(proof.expires, WallTime(2_000_000_000_000) + LEEWAY);
        let topic = |text: &str| rivulet_protocol::Topic::parse(text.to_owned()).unwrap();
        assert!(proof.grants.may_publish(&topic("plant/a/state")));
        assert!(!proof.grants.may_publish(&topic("plant/a/reset")));
    }
}

#[test]
fn unsigned_tokens_and_shared_secrets_are_refused() {
    let foreign = foreign();
    let verifier = verifier(&foreign["jwks"]);
    for algorithm in ["none", "HS256"] {
        let token = foreign["tokens"][algorithm].as_str().unwrap();
        let fault = verifier.verify(NOW, token.as_bytes(), Some("meter-7")).unwrap_err();
        assert_eq!(fault, TokenFault::Algorithm(algorithm.to_owned()));
    }
    // The public key taken for a secret, and the name of another algorithm over a good signature.
    let issuer = Issuer::new();
    for alg in ["HS256", "hs256", "RS384", "ES256K", "NONE", ""] {
        let token = issuer.sign(&json!({"alg": alg}), &Value::Object(claims()).to_string());
        let fault = issuer.verifier().verify(NOW, token.as_bytes(), Some("meter-7")).unwrap_err();
        assert_eq!(fault, TokenFault::Algorithm(alg.to_owned()));
    }
}

#[test]
fn a_changed_token_is_refused_at_every_byte() {
    let foreign = foreign();
    let verifier = verifier(&foreign["jwks"]);
    for algorithm in Algorithm::ALL {
        let token = foreign["tokens"][algorithm.name()].as_str().unwrap();
        for at in 0..token.len() {
            let mut changed = token.as_bytes().to_vec();
            changed[at] = if changed[at] == b'A' { b'B' } else { b'A' };
            assert!(verifier.verify(NOW, &changed, Some("meter-7")).is_err(), "{algorithm:?} byte {at}");
        }
    }
}

#[test]
fn a_key_serves_its_own_algorithm_alone() {
    let issuer = Issuer::new();
    let token = issuer.sign(&json!({"alg": "ES256", "kid": "ed"}), &Value::Object(claims()).to_string());
    let fault = issuer.verifier().verify(NOW, token.as_bytes(), Some("meter-7")).unwrap_err();
    assert_eq!(fault, TokenFault::UnknownKey { key: "ed".to_owned(), algorithm: "ES256" });
}

#[test]
fn the_key_identifier_picks_the_key() {
    let (one, two) = (Issuer::new(), Issuer::new());
    let verifier = verifier(&json!({"keys": [one.jwk("one"), two.jwk("two")]}));
    let outcome = |header: Value| {
        let token = two.sign(&header, &Value::Object(claims()).to_string());
        verifier.verify(NOW, token.as_bytes(), Some("meter-7")).map(|_| ())
    };
    assert_eq!(outcome(json!({"alg": "EdDSA", "kid": "two"})), Ok(()));
    assert_eq!(
        outcome(json!({"alg": "EdDSA"})),
        Ok(()),
        "without an identifier all keys of the kind are tried"
    );
    assert_eq!(outcome(json!({"alg": "EdDSA", "kid": "one"})), Err(TokenFault::Signature));
    let unknown = TokenFault::UnknownKey { key: "three".to_owned(), algorithm: "EdDSA" };
    assert_eq!(outcome(json!({"alg": "EdDSA", "kid": "three"})), Err(unknown));
    assert_eq!(outcome(json!({"alg": "EdDSA", "kid": "two", "crit": ["exp"]})), Err(TokenFault::Critical));
}

#[test]
fn elliptic_curve_signatures_that_we_make_are_accepted() {
    let random = SystemRandom::new();
    let pkcs8 = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random).unwrap();
    let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, pkcs8.as_ref(), &random).unwrap();
    let (x, y) = pair.public_key().as_ref()[1..].split_at(32);
    let encode = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
    let jwks = json!({"keys": [{"kty": "EC", "crv": "P-256", "x": encode(x), "y": encode(y)}]});
    let message = format!(
        "{}.{}",
        encode(br#"{"alg":"ES256"}"#),
        encode(Value::Object(claims()).to_string().as_bytes())
    );
    let token = format!("{message}.{}", encode(pair.sign(&random, message.as_bytes()).unwrap().as_ref()));
    assert!(verifier(&jwks).verify(NOW, token.as_bytes(), Some("meter-7")).is_ok());
}

#[test]
fn a_token_must_say_when_it_expires_and_not_have_expired() {
    let issuer = Issuer::new();
    let seconds = |delta: i64| json!({"exp": 1_800_000_000 + delta});
    assert!(issuer.outcome(&seconds(1)).is_ok());
    assert!(issuer.outcome(&seconds(-29)).is_ok(), "within the leeway");
    assert_eq!(issuer.outcome(&seconds(-30)), Err(TokenFault::Expired(Duration::ZERO)));
    assert_eq!(issuer.outcome(&seconds(-31)), Err(TokenFault::Expired(Duration::from_secs(1))));
    assert_eq!(
        issuer.outcome(&json!({"exp": 1_800_000_000.5})).unwrap().expires,
        WallTime(1_800_000_030_500)
    );
    for wrong in
        [json!(null), json!("1800000060"), json!(-1), json!(1_800_000_060_000_u64), json!([1_800_000_060])]
    {
        let fault = issuer.outcome(&json!({"exp": wrong})).unwrap_err();
        assert!(matches!(&fault, TokenFault::Claim { claim, .. } if claim == "exp"), "{wrong} {fault}");
    }
}

#[test]
fn a_token_is_not_valid_before_its_time() {
    let issuer = Issuer::new();
    assert!(issuer.outcome(&json!({"nbf": 1_800_000_030})).is_ok(), "within the leeway");
    let fault = TokenFault::NotYetValid(Duration::from_secs(31));
    assert_eq!(issuer.outcome(&json!({"nbf": 1_800_000_031})), Err(fault));
    assert!(matches!(issuer.outcome(&json!({"nbf": "soon"})), Err(TokenFault::Claim { .. })));
}

#[test]
fn issuer_and_audience_must_be_those_of_the_configuration() {
    let issuer = Issuer::new();
    assert_eq!(issuer.outcome(&json!({"iss": "evil"})), Err(TokenFault::Issuer("evil".to_owned())));
    assert!(matches!(issuer.outcome(&json!({"iss": null})), Err(TokenFault::Claim { .. })));
    assert_eq!(issuer.outcome(&json!({"aud": "http"})), Err(TokenFault::Audience));
    assert_eq!(issuer.outcome(&json!({"aud": []})), Err(TokenFault::Audience));
    assert!(issuer.outcome(&json!({"aud": ["http", "mqtt"]})).is_ok());
    for wrong in [json!(null), json!(7), json!([7, "mqtt"]), json!({"mqtt": true})] {
        assert!(matches!(issuer.outcome(&json!({"aud": wrong})), Err(TokenFault::Claim { .. })), "{wrong}");
    }
}

#[test]
fn a_token_can_be_bound_to_a_client_identifier() {
    let issuer = Issuer::new();
    assert_eq!(
        issuer.outcome(&json!({"client": "meter-8"})),
        Err(TokenFault::ClientId("meter-8".to_owned()))
    );
    assert!(matches!(issuer.outcome(&json!({"client": null})), Err(TokenFault::Claim { .. })));
    let token = issuer.sign(&json!({"alg": "EdDSA"}), &Value::Object(claims()).to_string());
    let unnamed = issuer.verifier().verify(NOW, token.as_bytes(), None);
    assert_eq!(unnamed, Err(TokenFault::ClientId("meter-7".to_owned())));
    let free = TokenVerifier { client_id_claim: None, ..issuer.verifier() };
    assert!(free.verify(NOW, token.as_bytes(), Some("any")).is_ok());
}

#[test]
fn the_user_name_is_what_the_token_says_and_nothing_else() {
    let issuer = Issuer::new();
    assert_eq!(issuer.outcome(&json!({"sub": null})).unwrap().username, None);
    for wrong in [json!(""), json!(7), json!(["jane"])] {
        assert!(matches!(issuer.outcome(&json!({"sub": wrong})), Err(TokenFault::Claim { .. })), "{wrong}");
    }
}

#[test]
fn a_list_of_the_wrong_form_refuses_the_client() {
    let issuer = Issuer::new();
    for wrong in [json!("a/#"), json!([1]), json!({})] {
        assert!(
            matches!(issuer.outcome(&json!({"publish": wrong})), Err(TokenFault::Claim { .. })),
            "{wrong}"
        );
    }
    assert!(matches!(issuer.outcome(&json!({"subscribe": ["a/#/b"]})), Err(TokenFault::Grants(_))));
}

#[test]
fn what_is_no_token_is_known_as_such() {
    let issuer = Issuer::new();
    let verifier = issuer.verifier();
    for text in ["", "secret", "a.b", "a.b.c", "...", "a.b.c.d", "e30.e30.e30", "p@ss.w0rd.!"] {
        assert_eq!(verifier.verify(NOW, text.as_bytes(), None), Err(TokenFault::NoToken), "{text}");
    }
    assert_eq!(verifier.verify(NOW, &[0xff; 9], None), Err(TokenFault::NoToken));
    let long = vec![b'a'; TOKEN_BYTES_MAX + 1];
    assert_eq!(verifier.verify(NOW, &long, None), Err(TokenFault::TooLong(TOKEN_BYTES_MAX + 1)));
    let no_object = issuer.sign(&json!({"alg": "EdDSA"}), "[]");
    assert!(matches!(verifier.verify(NOW, no_object.as_bytes(), None), Err(TokenFault::Claim { .. })));
}
