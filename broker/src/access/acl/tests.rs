//! The rules as a whole: order, conditions, placeholders, wildcards; and that no value widens a rule.

use proptest::prelude::*;
use rivulet_core::input::Identity;

use super::*;

fn acl(text: &str) -> Acl {
    Acl::parse(text).unwrap()
}

fn topic(text: &str) -> Topic {
    Topic::parse(text.to_owned()).unwrap()
}

fn filter(text: &str) -> TopicFilter {
    TopicFilter::parse(text.to_owned()).unwrap()
}

fn client(id: &str) -> Subject {
    Subject { listener: "field".into(), client_id: Some(id.into()), ..Subject::default() }
}

fn meter() -> Subject {
    let identity = Identity {
        common_name: Some("meter-7".into()),
        serial: Some("0a1b".into()),
        organizational_unit: Some("hall-3".into()),
        san_dns: vec!["m7.plant.example".into(), "meter-7.example".into()],
        san_uri: vec!["urn:dev:mac:0024befffe804ff1".into()],
    };
    Subject { username: Some("jane".into()), identity: Some(identity), ..client("m7") }
}

fn may_publish(rules: &str, subject: &Subject, to: &str) -> bool {
    acl(rules).compile(subject).may_publish(&topic(to))
}

fn may_subscribe(rules: &str, subject: &Subject, to: &str) -> bool {
    acl(rules).compile(subject).may_subscribe(&filter(to))
}

#[test]
fn what_no_rule_matches_is_denied() {
    let nobody = Subject::default();
    assert!(!may_publish("", &nobody, "a"));
    assert!(!may_subscribe("", &nobody, "a"));
    assert!(!acl("").compile(&nobody).may_receive(&topic("a")));
    assert!(!may_subscribe("allow publish topic #", &nobody, "a"));
    assert!(!may_publish("allow subscribe topic #", &nobody, "a"));
}

#[test]
fn the_first_rule_that_matches_decides() {
    let rules = "deny publish topic a/secret\nallow publish topic a/#\ndeny publish topic a/b\n";
    assert!(!may_publish(rules, &client("c"), "a/secret"));
    assert!(may_publish(rules, &client("c"), "a/b"));
}

#[test]
fn conditions_must_all_hold() {
    let rules = "allow publish user jane listener field cert.ou hall-3 cert.san.dns meter-7.example topic a";
    assert!(may_publish(rules, &meter(), "a"));
    for (what, changed) in [
        ("user", Subject { username: Some("joe".into()), ..meter() }),
        ("no user", Subject { username: None, ..meter() }),
        ("listener", Subject { listener: "office".into(), ..meter() }),
        ("no certificate", Subject { identity: None, ..meter() }),
    ] {
        assert!(!may_publish(rules, &changed, "a"), "{what}");
    }
    assert!(may_publish("allow publish client m7 cert.cn meter-7 cert.serial 0a1b topic a", &meter(), "a"));
    assert!(!may_publish("allow publish client m8 topic a", &meter(), "a"));
}

#[test]
fn placeholders_stand_for_the_clients_own_values() {
    let rules =
        "allow publish topic ${client_id}/${username}/${cert.cn}/${cert.san.uri}/${cert.serial}/x-${cert.ou}";
    assert!(may_publish(rules, &meter(), "m7/jane/meter-7/urn:dev:mac:0024befffe804ff1/0a1b/x-hall-3"));
    assert!(!may_publish(rules, &meter(), "m8/jane/meter-7/urn:dev:mac:0024befffe804ff1/0a1b/x-hall-3"));
}

#[test]
fn a_rule_holds_for_each_alternative_name() {
    let rules = "allow publish topic ${cert.san.dns}/state/${cert.san.dns}";
    assert!(may_publish(rules, &meter(), "m7.plant.example/state/m7.plant.example"));
    assert!(may_publish(rules, &meter(), "meter-7.example/state/meter-7.example"));
    assert!(!may_publish(rules, &meter(), "meter-7.example/state/m7.plant.example"));
}

#[test]
fn a_certificate_with_too_many_names_matches_no_allow_and_every_deny() {
    let names = (0..=crate::access::subject::VALUES_MAX).map(|n| format!("n{n}")).collect();
    let identity = Identity { san_dns: names, ..Identity::default() };
    let subject = Subject { identity: Some(identity), ..client("c") };
    assert!(!may_publish("allow publish topic ${cert.san.dns}/x", &subject, "n0/x"));
    assert!(!may_publish("deny publish topic d/${cert.san.dns}\nallow all topic #", &subject, "d/n0"));
}

#[test]
fn a_placeholder_without_a_value_matches_nothing() {
    for rule in ["allow publish topic a/${username}", "allow publish topic a/${cert.cn}/#"] {
        for to in ["a", "a/", "a/x", "a//x", "a/${username}", "a/None"] {
            assert!(!may_publish(rule, &client("c"), to), "{rule} {to}");
        }
    }
    let unnamed = Subject { client_id: None, ..client("c") };
    assert!(!may_publish("allow publish topic ${client_id}/#", &unnamed, "/x"));
}

#[test]
fn a_client_identifier_that_is_a_pattern_matches_no_allow() {
    for id in ["#", "+", "a/b", "a/#", "+/+", "", "/", "a+", "\u{7}"] {
        let rules = "allow all topic dev/${client_id}/#\nallow all topic x-${client_id}\nallow all topic ${client_id}";
        for to in ["dev/a", "dev/a/b/c", "dev/+/x", "dev//x", "a/b", "x-a", "x-a/b", "a"] {
            let Ok(to) = Topic::parse(to.to_owned()) else { continue };
            assert!(!acl(rules).compile(&client(id)).may_publish(&to), "{id:?} {to}");
        }
        for to in ["dev/#", "dev/+/#", "dev/a/b/x", "#", "+", "+/+"] {
            assert!(!may_subscribe(rules, &client(id), to), "{id:?} {to}");
        }
    }
}

#[test]
fn a_client_identifier_cannot_reach_dollar_topics_or_a_share_name() {
    assert!(!may_subscribe("allow all topic ${client_id}/#", &client("$SYS"), "$SYS/#"));
    assert!(!may_subscribe("allow all topic ${client_id}/g/#", &client("$share"), "#"));
    assert!(!may_subscribe("allow all topic $s${client_id}/g/#", &client("hare"), "a/b"));
    assert!(may_publish("allow all topic a/${client_id}", &client("$7"), "a/$7"));
}

#[test]
fn a_deny_with_an_unusable_value_denies_everything_below_its_level() {
    let rules = "deny publish topic cmd/${client_id}/reset\nallow publish topic #";
    assert!(!may_publish(rules, &client("a"), "cmd/a/reset"));
    assert!(may_publish(rules, &client("a"), "cmd/b/reset"));
    for id in ["a/b", "#", "+", ""] {
        assert!(!may_publish(rules, &client(id), "cmd/a/b/reset"), "{id:?}");
        assert!(may_publish(rules, &client(id), "state/a"), "{id:?}");
    }
}

#[test]
fn a_subscription_must_be_covered_as_a_whole() {
    let rules = "allow subscribe topic a/+\nallow subscribe topic b/#";
    for (wanted, expected) in [
        ("a/x", true),
        ("a/+", true),
        ("a/#", false),
        ("+/x", false),
        ("#", false),
        ("b", true),
        ("b/#", true),
        ("$share/g/b/+/c", true),
        ("$share/g/#", false),
        ("$share/b/a/#", false),
    ] {
        assert_eq!(may_subscribe(rules, &client("c"), wanted), expected, "{wanted}");
    }
}

#[test]
fn a_denied_part_of_a_wildcard_is_not_delivered() {
    let permissions = acl("deny subscribe topic a/secret/#\nallow subscribe topic a/#").compile(&client("c"));
    assert!(permissions.may_subscribe(&filter("a/#")));
    assert!(permissions.may_subscribe(&filter("a/+/x")));
    assert!(!permissions.may_subscribe(&filter("a/secret/+")));
    assert!(permissions.may_receive(&topic("a/open/x")));
    assert!(!permissions.may_receive(&topic("a/secret/x")));
    assert!(!permissions.may_receive(&topic("a/secret")));
}

#[test]
fn dollar_topics_are_closed_until_a_rule_names_them() {
    let open = Acl::open().compile(&client("c"));
    assert!(
        open.may_publish(&topic("a/b")) && open.may_subscribe(&filter("#")) && open.may_receive(&topic("a"))
    );
    assert!(!open.may_publish(&topic("$SYS/x")));
    assert!(!open.may_subscribe(&filter("$SYS/#")) && !open.may_subscribe(&filter("$share/g/$SYS/#")));
    assert!(!open.may_receive(&topic("$SYS/broker/uptime")));
    let rules = "allow subscribe user jane topic $SYS/#\nallow all topic #";
    assert!(may_subscribe(rules, &meter(), "$SYS/broker/+"));
    assert!(!may_subscribe(rules, &client("c"), "$SYS/broker/+"));
}

#[test]
fn listeners_that_rules_speak_of_are_known_with_their_lines() {
    let acl =
        acl("allow all topic a\n\nallow all listener field topic a\ndeny all listener x user y topic b");
    assert_eq!(acl.listeners().collect::<Vec<_>>(), [(3, "field"), (4, "x")]);
}

#[test]
fn an_explanation_names_the_line_and_the_reason_of_each_line_before_it() {
    let rules = "# the fleet\n\
                 deny  subscribe topic #\n\
                 allow publish   user joe topic x\n\
                 allow publish   topic ${cert.cn}/x\n\
                 allow publish   topic dev/${client_id}/#\n\
                 deny  publish   topic a/+\n\
                 allow all       topic #\n";
    let explanation = acl(rules).explain(&client("a/b"), Request::Publish(topic("a/x")));
    assert!(!explanation.is_allowed());
    assert_eq!(explanation.deciding_line(), Some(6));
    let expected = "denied by line 6: publish to `a/x`\n\
        \u{20} line 2: deny  subscribe topic #\n    passed over: it is about something else\n\
        \u{20} line 3: allow publish   user joe topic x\n    passed over: the client's `user` is not `joe`\n\
        \u{20} line 4: allow publish   topic ${cert.cn}/x\n    passed over: the client has no value for ${cert.cn}\n\
        \u{20} line 5: allow publish   topic dev/${client_id}/#\n    \
            passed over: ${client_id} is `a/b`, which cannot stand in one level\n\
        \u{20} line 6: deny  publish   topic a/+\n    denies: within `a/+`\n";
    assert_eq!(explanation.to_string(), expected);
}

#[test]
fn an_explanation_tells_what_a_wildcard_subscription_will_not_receive() {
    let rules = "deny subscribe topic a/secret\nallow subscribe topic a/b\nallow subscribe topic a/#";
    let text = acl(rules).explain(&client("c"), Request::Subscribe(filter("a/#"))).to_string();
    assert!(text.starts_with("allowed by line 3: subscribe to `a/#`\n"), "{text}");
    assert!(text.contains("messages that match `a/secret` are not delivered"), "{text}");
    assert!(text.contains("`a/b` covers a part of it only"), "{text}");
    let text = acl(rules).explain(&client("c"), Request::Receive(topic("b"))).to_string();
    assert!(text.starts_with("denied, because no line matches: receive from `b`\n"), "{text}");
}

fn levels() -> impl Strategy<Value = String> {
    let level =
        prop::sample::select(vec!["a", "b", "", "$SYS", "${client_id}", "x${client_id}", "$s${username}"]);
    prop::collection::vec(level, 1..4).prop_filter_map("no filter", |levels| {
        let text = levels.join("/");
        (!text.is_empty()).then_some(text)
    })
}

fn values() -> impl Strategy<Value = String> {
    prop_oneof![
        prop::sample::select(vec![
            "a",
            "b",
            "#",
            "+",
            "a/b",
            "$SYS",
            "$share",
            "hare",
            "",
            "/",
            "a/#",
            "${username}"
        ])
        .prop_map(str::to_owned),
        "[ab/+#$\\x00]{0,4}",
    ]
}

/// The most that the author of a rule can have meant: one level without wildcards for each placeholder, and no `$` in
/// front that the author did not write.
fn meant(template: &str, topic: &str) -> bool {
    let (template, levels) = (template.split('/'), topic.split('/'));
    let fits = |(pattern, level): (&str, &str)| match pattern.find("${") {
        None => pattern == level,
        Some(at) => level.strip_prefix(&pattern[..at]).is_some_and(|value| !value.is_empty()),
    };
    template.clone().count() == levels.clone().count()
        && template.zip(levels).all(fits)
        && (!topic.starts_with('$') || topic.starts_with("$SYS") || topic.starts_with("$s"))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_value_widens_a_rule(template in levels(), id in values(), user in values(), to in "[ab/$+#]{1,6}") {
        let subject = Subject { username: Some(user), ..client(&id) };
        let Ok(acl) = Acl::parse(&format!("allow all topic {template}")) else { return Ok(()) };
        let permissions = acl.compile(&subject);
        if let Ok(topic) = Topic::parse(to.clone()) {
            prop_assert!(!permissions.may_publish(&topic) || meant(&template, &to));
            prop_assert!(!permissions.may_receive(&topic) || meant(&template, &to));
        }
        // The rule has no wildcard, so that no filter with one may pass, and no share but of a topic that was meant.
        if let Ok(filter) = TopicFilter::parse(to.clone()) {
            prop_assert!(!permissions.may_subscribe(&filter) || meant(&template, filter.pattern()));
        }
    }

    #[test]
    fn an_unusable_value_in_a_deny_lets_in_nothing_that_a_usable_one_refuses(
        template in levels(), id in values(), to in "[ab/]{1,6}",
    ) {
        let rules = format!("deny publish topic {template}\nallow publish topic #");
        let (Ok(acl), Ok(topic)) = (Acl::parse(&rules), Topic::parse(to)) else { return Ok(()) };
        let odd = acl.compile(&Subject { username: Some("x".into()), ..client(&format!("{id}#")) });
        let plain = acl.compile(&Subject { username: Some("x".into()), ..client("a") });
        prop_assert!(plain.may_publish(&topic) || !odd.may_publish(&topic));
    }

    #[test]
    fn explanations_say_what_the_broker_does(
        rules in prop::collection::vec(
            (any::<bool>(), 0..3usize, any::<bool>(), levels(), any::<bool>()), 0..6),
        id in values(), to in "[ab]{0,1}(/[ab]{0,1}){0,3}", wanted in "[ab+]{0,1}(/[ab+]{0,1}){0,2}(/#)?",
    ) {
        let text: String = rules.iter().map(|(allow, action, named, levels, rest)| {
            let effect = if *allow { "allow" } else { "deny" };
            let action = ["publish", "subscribe", "all"][*action];
            let condition = if *named { "client a" } else { "" };
            format!("{effect} {action} {condition} topic {levels}{}\n", if *rest { "/#" } else { "" })
        }).collect();
        let (acl, subject) = (acl(&text), client(&id));
        let permissions = acl.compile(&subject);
        if let Ok(topic) = Topic::parse(to) {
            let publish = acl.explain(&subject, Request::Publish(topic.clone())).is_allowed();
            prop_assert_eq!(publish, permissions.may_publish(&topic));
            let receive = acl.explain(&subject, Request::Receive(topic.clone())).is_allowed();
            prop_assert_eq!(receive, permissions.may_receive(&topic));
        }
        if let Ok(wanted) = TopicFilter::parse(wanted) {
            let subscribe = acl.explain(&subject, Request::Subscribe(wanted.clone())).is_allowed();
            prop_assert_eq!(subscribe, permissions.may_subscribe(&wanted));
        }
    }
}
