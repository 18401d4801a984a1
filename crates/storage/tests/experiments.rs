//! Outcomes of versions that share traffic: sums by unit and arm, exposures with shadows that answer late.

use hone_domain::{DeploymentId, InteractionId, Metric, ProjectId};
use hone_storage::OptionalText;
use hone_storage::experiments::{self, ArmKey, ArmSums, Exposure, Gain};
use hone_testkit::{START_US, database_of_kind};
use rstest::rstest;
use uuid::Uuid;

const PROJECT: Uuid = Uuid::from_u128(1);
const DEPLOYMENT: Uuid = Uuid::from_u128(2);
const VERSION: Uuid = Uuid::from_u128(3);

#[rstest]
#[tokio::test]
async fn the_sums_of_an_arm_follow_its_units(#[values("sqlite", "postgres")] kind: &str) {
    let Some(database) = database_of_kind(kind).await else {
        return;
    };
    let arm = ArmKey {
        deployment_id: DEPLOYMENT,
        metric: "thumb".to_owned(),
        step: 0,
        version_id: VERSION,
        project_id: PROJECT,
    };
    let mut conn = database.db.begin().await.unwrap();
    for group in [vec![(7_u128, 1.0, 2), (8, 0.0, 1)], vec![(7, 1.0, 3)]] {
        let gain = |(unit, total, at_us)| {
            let gain = Gain {
                outcomes: 1,
                total,
                at_us,
            };
            ((arm.clone(), Uuid::from_u128(unit)), gain)
        };
        let gains = group.into_iter().map(gain).collect();
        experiments::add_outcomes(&mut conn, &gains).await.unwrap();
    }
    let rows = experiments::list_arms(&mut conn, DeploymentId(DEPLOYMENT))
        .await
        .unwrap();
    let expected = ArmSums {
        units: 2,
        outcomes: 3,
        total: 2.0,
        outcome_squares: 5.0,
        total_squares: 4.0,
        products: 4.0,
    };
    assert_eq!((rows.len(), rows[0].sums), (1, expected));
    let units = experiments::list_units(&mut conn, DeploymentId(DEPLOYMENT), &Metric::Thumb, 10).await;
    assert_eq!(
        units.unwrap(),
        [(VERSION, 1, 0.0), (VERSION, 2, 2.0)],
        "in the order of the first outcome"
    );
}

#[rstest]
#[tokio::test]
async fn a_shadow_may_answer_before_or_after_its_interaction_is_recorded(
    #[values("sqlite", "postgres")] kind: &str,
) {
    let Some(database) = database_of_kind(kind).await else {
        return;
    };
    let plain = Exposure {
        project_id: PROJECT,
        interaction_id: Uuid::from_u128(9),
        deployment_id: DEPLOYMENT,
        version_id: VERSION,
        unit: Uuid::from_u128(7),
        step: 0,
        shadow_version_id: None,
        shadow_label: None,
        shadow_output: OptionalText(None),
        agrees: None,
        created_at_us: START_US,
    };
    let answered = Exposure {
        shadow_version_id: Some(Uuid::from_u128(4)),
        shadow_output: OptionalText(Some("Hi!".to_owned())),
        agrees: Some(false),
        ..plain.clone()
    };
    let mut conn = database.db.begin().await.unwrap();
    for pair in [[&plain, &answered], [&answered, &plain]] {
        for exposure in pair {
            let one = std::slice::from_ref(exposure);
            experiments::expose(&mut conn, one).await.unwrap();
        }
        let (project, interaction) = (ProjectId(PROJECT), InteractionId(plain.interaction_id));
        let found = experiments::find_exposure(&mut conn, project, interaction)
            .await
            .unwrap();
        assert_eq!(found.as_ref(), Some(&answered));
    }
    let deployment = DeploymentId(DEPLOYMENT);
    let told = experiments::list_disagreements(&mut conn, deployment, 10)
        .await
        .unwrap();
    assert_eq!(told, [answered]);
}
